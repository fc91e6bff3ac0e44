"""What exists in the local Slack: workspaces, people, conversations, messages, views, files, tokens."""
