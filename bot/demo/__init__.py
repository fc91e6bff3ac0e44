"""The demo: a local Slack, a local Iterable and the bot between them, in one process and for as long as it runs."""
