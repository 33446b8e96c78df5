"""Detects where speech is, and where a turn ends."""
