"""Audience files: readers of all formats, which yield one row per profile."""

from core.sources.reader import read
from core.sources.source import Source, SourceFormat

__all__ = ["Source", "SourceFormat", "read"]
