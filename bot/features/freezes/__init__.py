"""Freezing mappings: by hand, and before campaigns."""
