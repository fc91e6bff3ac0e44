"""Executing a run: plan it, then make its changes, with the list held, and every ending on record."""
