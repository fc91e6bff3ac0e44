"""Schedules: the form that adds one, and the list with its buttons."""
