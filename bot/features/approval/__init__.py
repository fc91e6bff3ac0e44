"""Approving and declining runs."""
