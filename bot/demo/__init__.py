"""The demo: a local Slack, a local Iterable and the bot, in one process."""
