"""The addresses of the server, one folder a family; only `server.app` imports them."""
