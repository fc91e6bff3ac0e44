"""Syncs that no person starts: schedules, the files of sources, and retries after an outage."""
