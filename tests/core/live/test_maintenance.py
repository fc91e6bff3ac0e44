"""Maintenance of live audiences: what it watches, and what that costs."""

from pathlib import Path
from typing import Any

from core.live import maintenance
from core.store import alert_rules, alerts
from sandbox.mparticle import Audience
from tests.core.databases import noted_statements
from tests.firehosing import OTHER_LIST, VIPS, firehosing, person

OTHERS = Audience(9000, "Others", {"listId": str(OTHER_LIST)})
AT_ONCE: dict[str, Any] = {"firehose_approval": "none", "worker": False}


async def test_strictest_backlog_rule(tmp_path: Path, database_url: str) -> None:
    """A rule that is stricter than the default opens the alert of its audience, and not that of another one."""
    async with firehosing(tmp_path, database_url, **AT_ONCE) as service:
        for audience in (VIPS, OTHERS):
            await service.mparticle.add(audience, person(1))
        mapping = await service.mapping()
        strict = alert_rules.RuleSetting(threshold=1e-9)
        async with service.engine.database.write() as db:
            await alert_rules.put(db, mapping.connection_id, mapping.id, alert_rules.Rule.BACKLOG, strict, by="U1")
        await maintenance.watch(service.engine)
        async with service.engine.database.read() as db:
            assert [alert.mapping_id for alert in await alerts.current(db)] == [mapping.id]


async def test_cost_of_young_backlogs(tmp_path: Path, database_url: str) -> None:
    """The number of statements does not depend on how many audiences have changes that have just arrived."""
    counts = []
    async with firehosing(tmp_path, database_url, **AT_ONCE) as service:
        await maintenance.watch(service.engine)  # what only the first time does
        for audience in (VIPS, OTHERS):
            await service.mparticle.add(audience, person(1))
            with noted_statements(service.engine.database) as statements:
                await maintenance.watch(service.engine)
            counts.append(len(statements))
    assert counts[0] == counts[1]
