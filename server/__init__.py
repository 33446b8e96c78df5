"""Composition root: settings, application, routes, observability and the `cslm` command."""
