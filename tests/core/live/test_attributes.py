"""User attributes of live messages: chosen ones become data fields, wait if they have to, and change no membership."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from core.connections import data_fields
from core.live import decisions
from core.models.data_fields import parse_fields
from tests.firehosing import LIST, VIPS, Live, firehosing, person


async def start(service: Live, *fields: str) -> None:
    """Connect the audience, choose data fields, and approve the mapping."""
    await service.mparticle.connect(VIPS)
    mapping = await service.mapping()
    await data_fields.choose(service.engine, mapping.id, parse_fields(fields), by="U1", team_id=None)
    await service.approve()


def known(service: Live) -> dict[str, dict[str, Any]]:
    """What Iterable knows of each person, by email."""
    project = service.iterable.state.project()
    return {str(project.people.identity(number)[0]): data for number, data in project.data.items() if data}


async def test_chosen_attributes_become_data_fields(tmp_path: Path, database_url: str) -> None:
    """Chosen attributes are sent with the member, under their names in Iterable; others are not."""
    async with firehosing(tmp_path, database_url) as service:
        await start(service, "Plan=plan", "$Mobile", "tags", "age")
        service.iterable.state.project().data_fields["age"] = "long"
        attributes = {"Plan": "gold", "$Mobile": "+1 (555) 876-5309", "tags": ["a", "b"], "age": "7", "Secret": "x"}
        await service.mparticle.add(VIPS, person(1, attributes=attributes), person(2))
        await service.settled()
        assert known(service) == {
            "p1@example.com": {"plan": "gold", "phoneNumber": "+15558765309", "tags": ["a", "b"], "age": 7}
        }
        async with service.engine.database.read() as db:
            assert (await db.execute(text("SELECT count(*) FROM inbox WHERE fields IS NOT NULL"))).scalar_one() == 0
            assert (await db.execute(text("SELECT count(*) FROM change_fields"))).scalar_one() == 0


@pytest.mark.extended
async def test_attribute_updates_are_updates(tmp_path: Path, database_url: str) -> None:
    """An attribute update of a member is sent, a deleted attribute is deleted, and no one joins or leaves."""
    async with firehosing(tmp_path, database_url) as service:
        await start(service, "Plan=plan", "city")
        await service.mparticle.add(VIPS, person(1, attributes={"Plan": "gold", "city": "Bonn"}), person(2))
        await service.settled()
        await service.mparticle.delete(VIPS, person(2))
        await service.settled()
        changes = [
            ("attribute_update", person(1, attributes={"Plan": "lead", "city": None})),
            ("attribute_update", person(2, attributes={"Plan": "lead"})),
            ("attribute_update", person(3, attributes={"Plan": "lead"})),
        ]
        await service.mparticle.tell(VIPS, changes)
        await service.settled()
        assert known(service) == {"p1@example.com": {"plan": "lead"}}
        assert service.emails() == {"p1@example.com"}
        assert service.iterable.state.history(LIST)[0][2:] == (1, 0)


async def test_waiting_attributes_are_kept(tmp_path: Path, database_url: str) -> None:
    """Attributes of a change that waits are kept when a newer change of the member arrives, encrypted."""
    async with firehosing(tmp_path, database_url) as service:
        await service.mparticle.connect(VIPS)
        mapping = await service.mapping()
        await data_fields.choose(service.engine, mapping.id, parse_fields(["Plan=plan", "city"]), by="U1", team_id=None)
        await service.mparticle.add(VIPS, person(1, attributes={"Plan": "gold", "city": "Bonn"}))
        await service.mparticle.tell(VIPS, [("attribute_update", person(1, attributes={"city": "Ulm"}))])
        await service.mparticle.add(VIPS, person(1))
        async with service.engine.database.read() as db:
            (stored,) = (await db.execute(text("SELECT fields FROM inbox"))).scalars()
        assert "gold" not in stored
        await decisions.approve(service.engine, mapping.id, list_id=LIST, by="U1")
        await service.settled()
        assert known(service) == {"p1@example.com": {"plan": "gold", "city": "Ulm"}}


async def test_the_permission_is_declared_only_with_fields(tmp_path: Path, database_url: str) -> None:
    """The registration asks for user attributes once a live mapping has data fields, and not before."""
    async with firehosing(tmp_path, database_url, worker=False) as service:
        await service.mparticle.connect(VIPS)
        before = await service.mparticle.register()
        await data_fields.choose(service.engine, (await service.mapping()).id, {"Plan": "plan"}, by="U1", team_id=None)
        after = await service.mparticle.register()
        assert "allow_audience_user_attributes" not in before["permissions"]
        assert after["permissions"]["allow_audience_user_attributes"] is True
