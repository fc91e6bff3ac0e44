"""Reports: the weekly and daily messages, and the form that says when they come."""
