"""The slash command and its subcommands."""
