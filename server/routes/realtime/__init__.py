"""`/v1/realtime` and below it."""
