"""Tests of the local Iterable, the local Slack and the local mParticle."""
