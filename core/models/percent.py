"""Shares in messages, written alike everywhere."""


def percent(share: float) -> str:
    """Return a share as a rounded percentage: 0.57 is "57 %"."""
    return f"{100 * share:.0f} %"
