"""`/v1/speech`."""
