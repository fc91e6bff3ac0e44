"""Block Kit, formatting and the terminal, shared by all features."""
