"""Configuration as code: connections, mappings, sources, schedules, alert rules and routes in one file."""
