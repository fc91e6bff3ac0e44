"""Live mappings with exclusions, and live mappings that end."""

from pathlib import Path
from typing import Any

from core.connections import mapping_end
from core.connections.exclusions import ExclusionInput, change_exclusions
from core.store.mappings import MappingStatus
from tests.core.live.test_live import addresses, start
from tests.firehosing import VIPS, firehosing, person

ASKED: dict[str, Any] = {"by": "U1", "team_id": None}


async def test_excluded_people_do_not_join(tmp_path: Path, database_url: str) -> None:
    """Excluded people that a live change adds are rejected, and leave the list if they are on it."""
    async with firehosing(tmp_path, database_url) as service:
        await start(service, 1, 2)
        mapping = await service.mapping()
        add = ExclusionInput(["p2@example.com", "p4@example.com"])
        await change_exclusions(service.engine, mapping.id, add=add, approved=True, allowed=None, **ASKED)
        await service.mparticle.add(VIPS, *map(person, (2, 3, 4)))
        status = await service.settled()
        assert service.emails() == addresses(1, 3)
        assert status.rejected_by_reason == {"excluded": 2}


async def test_archived_mapping_drops_changes(tmp_path: Path, database_url: str) -> None:
    """What mParticle sends for an archived mapping is dropped; connected again, the mapping is proposed again."""
    async with firehosing(tmp_path, database_url) as service:
        await start(service, 1, 2)
        mapping = await service.mapping()
        await mapping_end.archive(service.engine, mapping.id, **ASKED)
        await service.mparticle.add(VIPS, person(3))
        await service.mparticle.disconnect(VIPS)
        assert (await service.mapping()).status is MappingStatus.ARCHIVED
        await service.mparticle.connect(VIPS)
        assert (await service.mapping()).status is MappingStatus.PROPOSED
        await service.approve()
        await service.settled()
        assert service.emails() == addresses(1, 2)
