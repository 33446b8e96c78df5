"""Where speech is, and where a turn ends."""
