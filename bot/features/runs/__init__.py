"""Runs: start, cancel, retry, repeat, rejected members, and the message of each run."""
