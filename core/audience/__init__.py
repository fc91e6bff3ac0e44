"""Reading audience files: whatever the shape, one row per profile."""

from core.audience.names import SEVERAL_AUDIENCES
from core.audience.reader import read
from core.audience.source import Shape, Source

__all__ = ["SEVERAL_AUDIENCES", "Shape", "Source", "read"]
