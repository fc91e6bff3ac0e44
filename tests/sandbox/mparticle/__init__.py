"""Tests of the local mParticle."""
