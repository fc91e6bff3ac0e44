"""Alerts: taken, muted."""
