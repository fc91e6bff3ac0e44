"""The Web API: one function a method, called by name."""
