"""The databases that core's tests run on."""

from tests.core.conftest import database_url, postgresql_server

__all__ = ["database_url", "postgresql_server"]
