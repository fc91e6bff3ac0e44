"""What is answered over HTTP beside Slack's requests: mParticle's Firehose, health, metrics."""
