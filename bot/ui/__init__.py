"""Block Kit, formatting and the terminal: how things look, whichever feature shows them."""
