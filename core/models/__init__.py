"""Runs and batches as plain values that every layer shares."""
