"""How this process and Slack find each other: the mode, what is looked at first, connections, installations."""
