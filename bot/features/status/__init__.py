"""The subcommands `status` and `history`, and the sections that the home page shares with them."""
