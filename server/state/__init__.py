"""State that lives as long as the server and knows no request."""
