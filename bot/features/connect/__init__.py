"""Connecting an Iterable project to a workspace."""
