"""Long campaigns, started by hand: python -m tests.campaigns.<name>. Their figures are in docs/reports/."""
