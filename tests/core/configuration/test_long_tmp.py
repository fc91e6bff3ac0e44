import asyncio
from typing import Any

from hypothesis import HealthCheck, given, settings

from core.configuration import document
from tests.core.configuration.test_round_trip import _FILES, _round_trip


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(_FILES)
def test_long(content: dict[str, Any]) -> None:
    asyncio.run(_round_trip(document.write(content)))
