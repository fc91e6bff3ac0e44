"""The app is removed from a workspace."""
