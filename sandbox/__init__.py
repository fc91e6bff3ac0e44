"""A local Iterable and a local Slack, for demos and tests."""
