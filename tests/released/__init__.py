"""Makers of small random checkpoints with exactly the layout in which cslm-8b's parts are released."""
