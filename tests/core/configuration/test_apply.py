"""Applying a configuration file: once, in the names of the use cases, and never over the changes of people."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from core.automation import schedules, sources
from core.automation.sources import SourceOptions
from core.configuration.commands import ChangedByHandError
from core.configuration.problems import ConfigurationError
from core.connections import (
    data_fields,
    exclusions,
    freeze_commands,
    list_change,
    manage,
    mapping_end,
    mapping_lifecycle,
    mapping_settings,
)
from core.connections.exclusions import ExclusionInput
from core.connections.mapping_lifecycle import NewList
from core.engine import Engine
from core.errors import ConflictError
from core.notifications import routes, rule_settings
from core.store import connections
from core.store import schedules as stored_schedules
from core.store.alert_rules import Rule
from core.store.audit_log import COMMAND_LINE, CONFIGURATION
from core.store.managed import ManagedByFileError
from core.store.mappings import AudienceMapping, MappingStatus
from tests.core.configuration.harness import BASIC, configured
from tests.core.databases import on_both

BY: dict[str, Any] = {"by": COMMAND_LINE, "team_id": None}


@on_both
async def test_once(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file makes all that it describes, proposed by the file, once; a changed file changes only what it changed."""
    async with configured(tmp_path, database_url, monkeypatch) as world:
        assert await world.apply() == [
            "add connection Shop",
            "add mapping Shop/buyers",
            "add mapping Shop/visitors",
            "add schedule Shop/buyers/Each morning",
            "add schedule Shop/buyers/Then",
            "add route ops",
        ]
        buyers = await world.mapping("All buyers")
        assert (buyers.status, buyers.proposed_by) == (MappingStatus.PROPOSED, CONFIGURATION)
        assert {entry.actor for entry in await world.audit()} == {CONFIGURATION}
        before = len(await world.audit())
        assert await world.apply() == []
        changed = BASIC.replace("All buyers", "Buyers!").replace("0 8 * * 1-5", "0 9 * * *").replace("5}", "6}")
        assert await world.apply(changed.replace("connection: Shop\n", "events: [run.*]\n")) == [
            "change mapping Shop/buyers",
            "change mapping Shop/visitors",
            "change schedule Shop/buyers/Each morning",
            "change route ops",
        ]
        assert [entry.action.value for entry in (await world.audit())[before:]] == [
            "mapping.changed",
            "alert.rules_changed",
            "schedule.changed",
            "route.changed",
        ]


async def test_by_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a person changed is not undone, unless the file has it too or may overwrite it; the error has its line."""
    async with configured(tmp_path, None, monkeypatch) as world:
        await world.apply()
        async with world.engine.database.read() as db:
            (connection,) = await connections.everyone(db)
        await manage.change(world.engine, connection, requests_per_second=7.0, by="U0ANA", team_id=None)
        with pytest.raises(ChangedByHandError) as raised:
            await world.apply(BASIC.replace("All buyers", "Other"))
        assert [problem.line for problem in raised.value.problems] == [3]
        assert "rate (now 7.0, the file has 5.0)" in raised.value.message
        assert (await world.plan()).by_hand[0].by_hand == ("rate",)
        assert await world.apply(BASIC.replace("    approvers", "    rate: 7\n    approvers")) == []
        assert await world.apply() == ["change connection Shop"], "the file had 7, too"
        await manage.change(world.engine, connection, requests_per_second=8.0, by="U0ANA", team_id=None)
        assert await world.apply(overwrite=True) == ["change connection Shop"]


async def test_declined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an approver declined is not proposed again by the same file, but by a changed one."""
    async with configured(tmp_path, None, monkeypatch) as world:
        await world.apply()
        visitors, buyers = await world.mapping("Visitors"), await world.mapping("All buyers")
        for mapping, status in ((visitors, MappingStatus.DECLINED), (buyers, MappingStatus.ACTIVE)):
            await mapping_lifecycle.decide_proposal(
                world.engine, mapping.id, status, by="U0ANA", comment=None, team_id=None
            )
        text = BASIC.replace(", mappings: [visitors]", "").replace("          Then: {after: visitors}\n", "")
        assert await world.apply(text) == ["change mapping Shop/buyers", "release schedule Shop/buyers/Then"]
        assert await world.apply(text.replace("overdue: 5", "overdue: 6")) == ["add mapping Shop/visitors"]
        assert (await world.mapping("Visitors")).status is MappingStatus.PROPOSED
        change = text.replace("overdue: 5", "overdue: 6").replace(
            "name: All buyers", "name: All buyers\n        removals: keep"
        )
        plan = await world.plan(change)
        assert [each.needs_approval for each in plan.changes] == [True]
        await world.apply(change)
        await mapping_lifecycle.decide_proposal(
            world.engine, buyers.id, MappingStatus.DECLINED, by="U0ANA", comment=None, team_id=None
        )
        with pytest.raises(ChangedByHandError, match="removals"):
            await world.apply(change)


async def test_pauses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """People may pause a mapping whose file does not say; what was never approved is not active when it is resumed."""
    async with configured(tmp_path, None, monkeypatch) as world:
        await world.apply(BASIC.replace("name: All buyers", "name: All buyers\n        paused: true"))
        buyers = await world.mapping("All buyers")
        assert buyers.status is MappingStatus.PAUSED
        assert await world.apply() == ["change mapping Shop/buyers"], "the file no longer pauses it"
        buyers = await world.mapping("All buyers")
        assert buyers.status is MappingStatus.PROPOSED
        await mapping_lifecycle.decide_proposal(
            world.engine, buyers.id, MappingStatus.ACTIVE, by="U0ANA", comment=None, team_id=None
        )
        assert await mapping_lifecycle.pause(world.engine, buyers.id, by="U0ANA", team_id=None)
        assert await world.apply() == []
        with pytest.raises(ConfigurationError, match="is paused, so mode can't be changed"):
            await world.apply(BASIC.replace("name: All buyers", "mode: add\n        name: All buyers"))
        assert await world.apply(BASIC.replace("name: All buyers", "paused: false\n        name: All buyers"))
        assert (await world.mapping("All buyers")).status is MappingStatus.ACTIVE


async def test_prune(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the file lacks is released without --prune and archived or removed with it; a connection never is."""
    async with configured(tmp_path, None, monkeypatch) as world:
        await world.apply()
        less = BASIC[: BASIC.index("      visitors:\n        audience")].replace(", mappings: [visitors]", "")
        less = less.replace("          Then: {after: visitors}\n", "")
        released = ["release mapping Shop/visitors", "release schedule Shop/buyers/Then", "release route ops"]
        assert sorted(await world.apply(less)) == sorted(["change mapping Shop/buyers", *released])
        assert await world.apply(less) == []
        plan = await world.plan(less)
        assert [each.name for each in plan.not_in_file] == ["Shop/buyers/Then", "Shop/visitors", "ops"]
        assert (await world.mapping("Visitors")).managed is None
        pruned = ["remove schedule Shop/buyers/Then", "archive mapping Shop/visitors", "remove route ops"]
        assert sorted(await world.apply(less, prune=True)) == sorted(pruned)
        assert (await world.mapping("Visitors")).status is MappingStatus.ARCHIVED
        assert await world.apply(less, prune=True) == []
        assert sorted(await world.apply("version: 1\n", prune=True)) == [
            "archive mapping Shop/buyers",
            "release connection Shop",
            "release schedule Shop/buyers/Each morning",
        ]
        again = ["add route ops", "add schedule Shop/buyers/Then", "manage connection Shop"]
        again += ["manage schedule Shop/buyers/Each morning"]
        assert sorted(await world.apply()) == [*again, "restore mapping Shop/buyers", "restore mapping Shop/visitors"]
        assert {each.status for each in await world.mappings()} == {MappingStatus.PROPOSED}


async def test_takes_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is applied for the first time manages the mapping that has its audience and list already."""
    async with configured(tmp_path, None, monkeypatch) as world:
        await world.apply()
        await world.apply("version: 1\n")
        assert {each.managed for each in await world.mappings()} == {None}
        assert set(await world.apply(BASIC.replace("buyers:", "shoppers:"))) >= {
            "manage connection Shop",
            "manage mapping Shop/shoppers",
            "manage route ops",
        }
        renamed = BASIC.replace("buyers:", "people:")
        assert await world.apply(renamed) == []
        assert len(await world.mappings()) == 2
        with pytest.raises(ConfigurationError, match="had another audience or list"):
            await world.apply(renamed.replace("list: 1001", "list: 1002"))


async def test_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two applications at once, one is refused, and nothing is doubled."""
    async with configured(tmp_path, None, monkeypatch) as world:
        both = await asyncio.gather(world.apply(), world.apply(), return_exceptions=True)
        assert [type(each) for each in both if isinstance(each, Exception)] == [ConflictError]
        assert len(await world.mappings()) == 2
        assert await world.apply() == []


async def test_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An application that fails in the middle says what was done, and the next one does the rest."""
    async with configured(tmp_path, None, monkeypatch) as world:
        text = BASIC.replace("/exports/buyers", "ftp://host/x")
        with pytest.raises(Exception, match="can't be in ftp"):
            await world.apply(text)
        assert [each.item.name for each in world.done] == ["Shop"]
        assert "add schedule Shop/buyers/Then" in await world.apply()
        assert len(await world.mappings()) == 2
        assert await world.apply() == []


async def test_faults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists that are missing, keys that are refused and secrets that are not set are reported together with lines."""
    async with configured(tmp_path, None, monkeypatch) as world:
        monkeypatch.setenv("OLD_KEY", "0123456789abcdef0123456789abcdef")
        text = BASIC.replace("list: 1001", "list: 77").replace("[U0ANA]", "[ana, ana@example.com]")
        text += "  mail: {kind: email, server: smtps://ops@example.com, recipients: [a@example.com]}\n"
        with pytest.raises(ConfigurationError) as raised:
            await world.plan(text.replace("env: OPS_SECRET", "file: missing.txt"))
        assert [problem.line for problem in raised.value.problems] == [24]
        with pytest.raises(ConfigurationError) as raised:
            await world.plan(text)
        assert [problem.line for problem in raised.value.problems] == [5, 5, 9]
        with pytest.raises(ConfigurationError) as raised:
            await world.plan(BASIC.replace("SHOP_KEY", "OLD_KEY"))
        assert [problem.line for problem in raised.value.problems] == [4]
        assert not await world.audit()


Act = Callable[[Engine, AudienceMapping], Awaitable[object]]
_EDITS: list[Act] = [
    lambda engine, mapping: mapping_settings.edit(engine, mapping.id, name="x", **BY),
    lambda engine, mapping: exclusions.change_exclusions(
        engine, mapping.id, add=ExclusionInput(domains=["x.example"]), allowed=None, **BY
    ),
    lambda engine, mapping: data_fields.choose(engine, mapping.id, {"a": "a"}, **BY),
    lambda engine, mapping: freeze_commands.set_campaign_freeze(engine, mapping.id, 5, **BY),
    lambda engine, mapping: sources.set_source(engine, mapping, SourceOptions("/x"), allowed=None, **BY),
    lambda engine, mapping: sources.remove_source(engine, mapping, **BY),
    lambda engine, mapping: rule_settings.set_rules(
        engine, mapping.connection_id, mapping.id, {Rule.DRIFT: None}, **BY
    ),
    lambda engine, mapping: mapping_end.archive(engine, mapping.id, **BY),
    lambda engine, mapping: list_change.propose_list(engine, mapping.id, NewList("Other"), **BY),
    lambda engine, mapping: mapping_end.forget(engine, mapping.id, **BY),
]


async def test_managed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """People can't edit what the file manages, but pause it, and exclude single addresses, which no file has."""
    async with configured(tmp_path, None, monkeypatch) as world:
        await world.apply()
        buyers = await world.mapping("All buyers")
        for edit in _EDITS:
            with pytest.raises(ManagedByFileError, match="A configuration file manages All buyers"):
                await edit(world.engine, buyers)
        with pytest.raises(ManagedByFileError):
            await routes.remove(world.engine, "ops", **BY)
        async with world.engine.database.read() as db:
            schedule = (await stored_schedules.everyone(db))[0]
        with pytest.raises(ManagedByFileError):
            await schedules.remove(world.engine, schedule, **BY)
        assert await schedules.pause(world.engine, schedule, **BY)
        await exclusions.change_exclusions(
            world.engine, buyers.id, add=ExclusionInput(addresses=["p1@example.com"]), allowed=None, **BY
        )
        assert await world.apply() == []
