"""Tests of the readers of audience files."""
