"""Runs: started, cancelled, retried, repeated; status and history; rejected users."""
