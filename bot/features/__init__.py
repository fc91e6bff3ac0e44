"""Slack features: a package for each, with handlers, use cases and pure views."""
