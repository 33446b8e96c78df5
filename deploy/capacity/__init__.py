"""How many people can talk to one GPU, and how soon does it answer: on paper, checked, and simulated. See docs/capacity.md."""
