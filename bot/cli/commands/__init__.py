"""The subcommands of iterable-sync, a module for each."""
