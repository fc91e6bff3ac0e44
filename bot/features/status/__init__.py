"""Status and history, for everybody."""
