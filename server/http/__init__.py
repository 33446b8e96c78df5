"""What two or more routes share: bodies, turns, dependencies, OpenAPI."""
