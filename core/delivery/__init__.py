"""Delivery: batches are sent to Iterable, rate-limited and concurrent, and every outcome is recorded."""
