"""Connections to Iterable projects: create, test and change them, who may use them, and their lists."""
