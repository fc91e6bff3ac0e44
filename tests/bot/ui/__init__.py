"""Tests of the building blocks of screens."""
