"""Undoing runs."""
