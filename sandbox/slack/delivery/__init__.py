"""Delivery of interactions and events to the app: over Socket Mode, or as signed HTTP requests."""
