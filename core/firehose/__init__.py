"""mParticle's Firehose: parses messages, stores what they change, and builds the answers. No HTTP in it."""
