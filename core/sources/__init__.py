"""Reading audience files: whatever the shape, one row per profile."""

from core.sources.reader import read
from core.sources.source import Shape, Source

__all__ = ["Shape", "Source", "read"]
