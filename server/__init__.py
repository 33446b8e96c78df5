"""The server: settings, application, routes, metrics and the `cslm` command."""
