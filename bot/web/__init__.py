"""The HTTP server: mParticle's Firehose, health checks, metrics, and Slack's requests."""
