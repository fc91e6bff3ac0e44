"""Slack and the command line."""
