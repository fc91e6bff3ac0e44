"""Live audiences: what a person decides about what mParticle's Firehose sends."""
