"""A live audience that was busy and is silent: nothing fails, and an alert says so all the same."""

import time
from pathlib import Path

import pytest

from core.live.silence import unusual_after, watch_silence
from core.store import alerts, live_mappings
from core.store.alert_kinds import AlertKind
from core.store.alerts import Alert
from core.store.live_mappings import Traffic
from core.store.mappings import AudienceMapping
from sandbox.mparticle import MParticle, RefusedError
from tests.core.live.test_live import NONE
from tests.firehosing import VIPS, Live, firehosing, person

HOUR_S, DAY_S = 3600.0, 24 * 3600.0


def day(changes: int = 500, silence: float | None = 6 * HOUR_S) -> Traffic:
    """A day of an audience."""
    return Traffic(changes, 0.0, silence)


@pytest.mark.parametrize(
    ("days", "limit"),
    [
        ([day()] * 3, 12 * HOUR_S),
        ([day(silence=60.0)] * 3, HOUR_S),
        ([day(), day(), day(0, 40 * HOUR_S), day()], 80 * HOUR_S),
        ([day()] * 2, None),
        ([day(99)] * 14, None),
        ([day(silence=None)] * 14, None),
    ],
    ids=["twice the longest", "an hour at least", "a weekend", "too few days", "never busy", "not recorded"],
)
def test_what_is_unusual(days: list[Traffic], limit: float | None) -> None:
    """Silence is unusual by what the audience did before, and never for one that was not busy."""
    assert unusual_after(days) == limit


async def open_alert(service: Live, mapping: AudienceMapping) -> Alert | None:
    """The open alert of a mapping."""
    async with service.engine.database.read() as db:
        return await alerts.open_of(db, mapping.connection_id, mapping.id, AlertKind.SILENCE)


async def test_silence_is_alerted_until_changes_come(tmp_path: Path, database_url: str) -> None:
    """After some busy days nothing comes: one alert, which a run does not close and the next change does."""
    async with firehosing(tmp_path, database_url, worker=False, **NONE) as service:
        await service.mparticle.connect(VIPS)
        mapping, now = await service.mapping(), time.time()
        for ago in range(4, 0, -1):
            async with service.engine.database.write() as db:
                for hour in range(10):
                    await live_mappings.count(db, now - ago * DAY_S + hour * HOUR_S, {mapping.id: 20}, {}, {})
        await service.mparticle.add(VIPS, person(1))
        await watch_silence(service.engine, now + 20 * HOUR_S)
        assert await open_alert(service, mapping) is None  # it was silent for longer before
        await watch_silence(service.engine, now + 5 * DAY_S)
        opened = await open_alert(service, mapping)
        assert opened is not None
        assert opened.code == "silence"
        assert "audience VIPs for 120 hours" in opened.message
        assert "press Resume" in opened.message
        await watch_silence(service.engine, now + 5 * DAY_S)
        assert await open_alert(service, mapping) == opened
        await service.mparticle.add(VIPS, person(2))
        await watch_silence(service.engine, time.time())
        assert await open_alert(service, mapping) is None


async def test_longest_silence_of_a_day(tmp_path: Path, database_url: str) -> None:
    """Recorded is the longest time between two changes that ended on the day, also if it began the day before."""
    async with firehosing(tmp_path, database_url, worker=False, **NONE) as service:
        await service.mparticle.add(VIPS, person(1))
        mapping = await service.mapping()
        midnight = time.time() // DAY_S * DAY_S + 10 * DAY_S
        for at in (-HOUR_S, HOUR_S, 4 * HOUR_S, 5 * HOUR_S):
            async with service.engine.database.write() as db:
                await live_mappings.count(db, midnight + at, {mapping.id: 1}, {mapping.id: 1}, {})
        async with service.engine.database.read() as db:
            traffic = await live_mappings.traffic(db, live_mappings.day_of(midnight))
        assert traffic[mapping.id][-1] == Traffic(3, midnight + 5 * HOUR_S, 3 * HOUR_S)


async def test_faulted_connection_sends_nothing(tmp_path: Path) -> None:
    """The local mParticle faults a connection whose message is not taken, and sends no more until it is resumed."""
    async with firehosing(tmp_path, worker=False, **NONE) as service:
        wrong = service.mparticle.url + "-and-more"
        async with MParticle(wrong, attempts=1, faults=True) as mparticle:
            with pytest.raises(RefusedError):
                await mparticle.add(VIPS, person(1))
            mparticle.url = service.mparticle.url
            await mparticle.add(VIPS, person(1))
            assert await service.mappings() == []
            mparticle.resume()
            await mparticle.add(VIPS, person(1))
            assert len(await service.mappings()) == 1
