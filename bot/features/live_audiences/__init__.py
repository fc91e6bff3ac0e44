"""Live audiences: decisions about changes that mParticle's Firehose sends."""
