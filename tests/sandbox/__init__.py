"""Tests of the local Iterable and the local Slack."""
