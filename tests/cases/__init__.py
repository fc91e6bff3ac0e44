"""Realistic files, each a named case with the result that a user expects."""
