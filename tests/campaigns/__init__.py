"""Long campaigns against the program, run by hand: python -m tests.campaigns.<name>. Their figures are in docs/reports/."""
