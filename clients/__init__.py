"""Clients of the server: the async Python client, `cslm talk`, the load test and the web page."""
