"""mParticle's Firehose: the messages, what they mean to us, and what is answered. No HTTP in it."""
