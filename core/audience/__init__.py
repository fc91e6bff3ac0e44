"""Reading audience files: whatever the shape, one row per profile."""

from core.audience.reader import read
from core.audience.source import Shape, Source

__all__ = ["Shape", "Source", "read"]
