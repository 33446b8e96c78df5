"""Audio to units, one module per kind of `profile.json`."""
