"""The state of the local Slack: workspaces, people, conversations, messages, views, files, tokens."""
