"""The engine: audience in, Iterable list out, every member accounted for. No Slack in it."""
