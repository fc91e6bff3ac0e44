"""The bot and the command line, as people use them."""
