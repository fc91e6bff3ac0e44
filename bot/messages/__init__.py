"""Messages that follow runs and alerts, whatever happens to Slack or to this process."""
