"""Tests of the run log."""
