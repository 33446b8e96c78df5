"""How questions and history become token ids, one module per kind of `profile.json`."""
