"""Mapping an audience to a list."""
