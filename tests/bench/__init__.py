"""Numbers, never timed assertions. Each script prints a table and writes JSON with commit, machine and configuration."""
