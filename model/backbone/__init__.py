"""A speech language model that continues a text model of others: its base, and the difference to it."""
