"""Alert rules: what is unusual opens one alert and closes it again; a new mapping is left alone."""

from pathlib import Path
from typing import Any

import pytest

from core import alerting
from core.errors import ValidationError
from core.notifications import rules
from core.notifications.rule_settings import set_rules
from core.notifications.rule_watch import watch_mappings
from core.notifications.rules import FEWEST_RUNS
from core.store import alert_rules, alerts, audit_log
from core.store.alert_kinds import AlertKind
from core.store.alert_rules import DEFAULT, Rule, RuleSetting
from core.store.alerts import Alert
from core.store.run_history import PastRun
from tests.core.automation.harness import DAY_S, HOUR_S, MINUTE_S, World, automated


def past(size: int = 1_000, added: int = 10, removed: int = 10, rejected: int = 10, duration_s: float = 60) -> PastRun:
    """A run with these numbers."""
    return PastRun("r", 0.0, duration_s, size, added, removed, rejected, is_purged=False)


USUAL = [past(size=1_000 + 10 * n, added=10 + n) for n in range(FEWEST_RUNS)]


def test_rejected_share() -> None:
    """A share is unusual compared with the usual one, or above the limit of a person."""
    assert rules.rejected_share(past(rejected=200), USUAL, DEFAULT) is not None
    for quiet in (past(rejected=15), past(size=40, rejected=15), past(rejected=45)):
        assert rules.rejected_share(quiet, USUAL, DEFAULT) is None
    assert rules.rejected_share(past(rejected=900), USUAL[1:], DEFAULT) is None
    assert rules.rejected_share(past(rejected=31), [], RuleSetting(threshold=3)) is not None
    assert rules.rejected_share(past(rejected=30), [], RuleSetting(threshold=3)) is None


def test_new_reason() -> None:
    """A reason is new if enough people have it and no run before had it."""
    assert rules.new_reason({"no_email": 5}, {"invalid_email"}, FEWEST_RUNS, DEFAULT) is not None
    assert rules.new_reason({"no_email": 4}, set(), FEWEST_RUNS, DEFAULT) is None
    assert rules.new_reason({"no_email": 5}, {"no_email"}, FEWEST_RUNS, DEFAULT) is None
    assert rules.new_reason({"no_email": 5}, set(), FEWEST_RUNS - 1, DEFAULT) is None
    assert rules.new_reason({"no_email": 1}, set(), 1, RuleSetting(threshold=1)) is not None


def test_deviation() -> None:
    """Additions, removals and the size deviate if they are far from those of the last runs, in people as well."""
    for unusual in (past(size=5_000), past(size=100), past(added=500), past(removed=500)):
        assert rules.deviation(unusual, USUAL, DEFAULT) is not None
    for quiet in (past(), past(size=1_200), past(added=100), past(removed=0)):
        assert rules.deviation(quiet, USUAL, DEFAULT) is None
    assert rules.deviation(past(added=500), USUAL[1:], DEFAULT) is None
    assert rules.deviation(past(added=30), USUAL, RuleSetting(threshold=100)) is not None
    assert rules.deviation(past(added=500), [past(added=n) for n in (0, 900, 100, 0, 700)], DEFAULT) is None


def test_run_time() -> None:
    """A run takes long compared with the longest of the last ones, and a short one never does."""
    assert rules.run_time(700, USUAL, DEFAULT) is not None
    assert rules.run_time(500, USUAL, DEFAULT) is None
    assert rules.run_time(700, USUAL[1:], DEFAULT) is None
    assert rules.run_time(700, [past(duration_s=300)] * FEWEST_RUNS, DEFAULT) is None
    assert rules.run_time(130, [], RuleSetting(threshold=2)) is not None


def test_overdue_after() -> None:
    """A mapping is overdue after the longest wait and a half, weekends included, if it is synced without a person."""
    weekdays = [day * DAY_S for day in (8, 7, 4, 3, 2, 1, 0)]
    assert rules.overdue_after(weekdays, DEFAULT, is_automatic=True) == 4.5 * DAY_S
    assert rules.overdue_after([60.0 * n for n in range(9, 0, -1)], DEFAULT, is_automatic=True) == HOUR_S
    assert rules.overdue_after(weekdays, DEFAULT, is_automatic=False) is None
    assert rules.overdue_after(weekdays[:4], DEFAULT, is_automatic=True) is None
    assert rules.overdue_after([], RuleSetting(threshold=26), is_automatic=False) == 26 * HOUR_S


async def opened(world: World) -> list[Alert]:
    """All alerts of the mapping, oldest first."""
    async with world.sync.engine.database.read() as db:
        every = [await alerts.by_id(db, number) for number in range(1, 20)]
    return [each for each in every if each is not None]


async def set_rule(world: World, rule: Rule, setting: RuleSetting | None, *, of_connection: bool = False) -> None:
    """Set a rule of the mapping, or of its connection."""
    mapping = world.mapping
    mapping_id = None if of_connection else mapping.id
    chosen = {rule: setting}
    await set_rules(world.sync.engine, mapping.connection_id, mapping_id, chosen, by="U1", team_id=None)


async def test_runs_and_rules(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A deviation opens one alert, and a usual run closes it; an overdue mapping gets one, which a success closes."""
    async with automated(tmp_path, database_url, monkeypatch) as world:
        await world.source()
        await world.schedule()
        await world.step()
        for day in range(FEWEST_RUNS):
            world.write(f"{day}.csv", range(3 + day % 2))
            await world.steps(3 * MINUTE_S)
            world.clock.at += DAY_S
        assert await opened(world) == []
        world.write("large.csv", range(150))
        await world.steps(3 * MINUTE_S)
        (alert,) = await opened(world)
        assert (alert.code, alert.closed_at, alert.show_at) == (Rule.DEVIATION, None, 0.0)
        assert "150 people are in the audience; in the last 5 syncs it was between 3 and 4." in alert.message
        world.write("usual.csv", range(149))
        await world.steps(3 * MINUTE_S)
        (alert,) = await opened(world)
        assert alert.closed_at is not None
        await set_rule(world, Rule.OVERDUE, RuleSetting(threshold=0.5), of_connection=True)
        await watch_mappings(world.sync.engine)
        world.clock.at += HOUR_S / 2 + 60
        for _ in range(2):
            await watch_mappings(world.sync.engine)
        *_, alert = await opened(world)
        assert (alert.id, alert.code) == (2, Rule.OVERDUE)
        assert alert.show_at == 0.0  # the alert an hour ago was about something else
        world.write("next.csv", range(148))
        await world.steps(3 * MINUTE_S)
        assert [each.closed_at is not None for each in await opened(world)] == [True, True]
        world.clock.at += DAY_S
        await set_rule(world, Rule.OVERDUE, RuleSetting(is_on=False))
        await watch_mappings(world.sync.engine)
        assert len(await opened(world)) == 2
        await set_rule(world, Rule.OVERDUE, None)
        await watch_mappings(world.sync.engine)
        *_, alert = await opened(world)
        assert (alert.id, alert.code, alert.show_at) == (3, Rule.OVERDUE, 0.0)
        await set_rule(world, Rule.OVERDUE, RuleSetting(is_on=False))
        await watch_mappings(world.sync.engine)
        assert (await opened(world))[-1].closed_at is not None


async def open_alert(world: World, code: str, *, of_connection: bool = False) -> None:
    """Open an alert of the mapping, or of its connection, or repeat it."""
    mapping_id = None if of_connection else world.mapping.id
    subject: dict[str, Any] = {"connection_id": world.mapping.connection_id, "mapping_id": mapping_id}
    async with world.sync.engine.database.write() as db:
        await alerting.open_or_repeat(db, **subject, run_id=None, code=code, message="It does not work.")


@pytest.mark.parametrize("of_connection", [False, True])
async def test_failure_explains_an_overdue_mapping(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch, *, of_connection: bool
) -> None:
    """While an alert about a failure of a mapping or its connection is open, the mapping is not overdue as well."""
    async with automated(tmp_path, database_url, monkeypatch) as world:
        await set_rule(world, Rule.OVERDUE, RuleSetting(threshold=1))
        await open_alert(world, "boom", of_connection=of_connection)
        world.clock.at += DAY_S
        await watch_mappings(world.sync.engine)
        (alert,) = await opened(world)
        assert alert.code == "boom"


async def test_alerts_hide_no_other_kind(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure, drift and a missing file are open together; a success closes the failure alone, a failure of another
    code takes the place of the first.
    """
    async with automated(tmp_path, database_url, monkeypatch) as world:
        await world.source()
        await world.schedule()
        await world.step()
        for code in ("boom", AlertKind.DRIFT, AlertKind.LATE_FILE, AlertKind.DRIFT, "crash"):
            await open_alert(world, code)
        assert [(each.code, each.occurrences) for each in await opened(world) if each.closed_at is None] == [
            ("drift", 1),
            ("late_file", 0),
            ("crash", 0),
        ]
        world.write("a.csv", range(3))
        await world.steps(3 * MINUTE_S)
        assert [each.code for each in await opened(world) if each.closed_at is None] == ["drift"]


async def test_settings(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mapping's rule overrides its connection's; changes are audited, and impossible limits refused."""
    async with automated(tmp_path, database_url, monkeypatch) as world:
        await set_rule(world, Rule.DRIFT, RuleSetting(threshold=5), of_connection=True)
        await set_rule(world, Rule.DRIFT, RuleSetting(is_on=False))
        async with world.sync.engine.database.read() as db:
            of_mapping = await alert_rules.settings(db, world.mapping.connection_id, world.mapping.id)
            of_connection = await alert_rules.settings(db, world.mapping.connection_id, None)
            (entry,) = [
                each
                for each in await audit_log.of(db, [f"mapping:{world.mapping.id}"])
                if each.action is audit_log.AuditAction.ALERT_RULES_CHANGED
            ]
        assert of_mapping.get(Rule.DRIFT) == RuleSetting(is_on=False)
        assert of_connection.get(Rule.DRIFT) == RuleSetting(threshold=5)
        assert entry.after == {"drift": "off"}
        for wrong in (0.0, -1.0, float("nan"), float("inf"), 1e9):
            with pytest.raises(ValidationError):
                await set_rule(world, Rule.DRIFT, RuleSetting(threshold=wrong))
