"""The tokens of the HTTP API, for admins."""
