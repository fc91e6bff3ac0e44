"""The Slack bot and the command line."""
