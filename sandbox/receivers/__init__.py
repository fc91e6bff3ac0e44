"""Local receivers of notifications, for tests and for trying them out."""
