"""Connecting Iterable projects."""
