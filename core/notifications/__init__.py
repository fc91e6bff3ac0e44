"""Notifications to other programs: routes, and the delivery of events to them."""
