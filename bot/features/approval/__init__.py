"""Deciding on runs that wait."""
