"""Units to audio, one module per kind of `profile.json`, and the process that runs them."""
