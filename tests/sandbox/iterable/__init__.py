"""Tests of the local Iterable, over real HTTP."""
