"""Alerts: acknowledge and snooze."""
