"""Mapping audiences to lists."""
