"""The message reconciler, which keeps Slack's messages up to date. Features provide the messages."""
