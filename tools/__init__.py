"""Checks of the source tree that no library provides. Run by `make check`; nothing here is installed."""
