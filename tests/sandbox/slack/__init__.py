"""Tests of the local Slack, with real Bolt apps over the wire."""
