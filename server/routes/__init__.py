"""The routes of the server, one folder for each family. Only `server.app` imports them."""
