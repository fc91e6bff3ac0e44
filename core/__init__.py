"""The engine: it reads an audience, updates an Iterable list and accounts for every member, without Slack."""
