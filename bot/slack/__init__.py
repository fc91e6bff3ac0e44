"""The adapter between Bolt and the features: modes, tokens, connection, replies, files, installations."""
