"""mParticle's Firehose, without HTTP: parses messages, stores the changes in them, and builds the answers."""
