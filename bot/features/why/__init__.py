"""Explains why a person is on a list, or is not."""
