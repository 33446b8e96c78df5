"""Worker processes: what runs in them, how the gateway talks to them, and who brings them back."""
