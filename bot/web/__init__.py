"""The HTTP server: the API, mParticle's Firehose, health checks, metrics, and Slack's requests."""
