"""The Web API: one function per method, called by name."""
