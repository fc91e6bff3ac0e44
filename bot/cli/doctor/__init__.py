"""The checks of iterable-sync doctor."""
