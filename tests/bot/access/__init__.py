"""Permissions: each listener of the bot, called by everyone who can cause Slack to call it."""
