"""A live audience that was busy and is silent: mParticle may have faulted the connection.

mParticle gives up after its retries, faults the connection and sends nothing until a person presses Resume there
(documentation of connections). Nothing fails here then, so silence is the only symptom.
"""

from collections.abc import Sequence

from core import alerting
from core.engine import Engine
from core.live.micro_batch import can_deliver
from core.store import alerts, live_mappings
from core.store.alert_kinds import AlertKind
from core.store.alerts import Alert
from core.store.live_mappings import Traffic
from core.store.mappings import AudienceMapping

_DAY_S = 24 * 3600.0
# What is usual is taken from so many days, today among them.
USUAL_DAYS = 14
# An audience is busy if at least so many of these days had at least so many changes each.
BUSY_DAYS, BUSY_CHANGES = 3, 100
# It is silent if nothing has come for so many times the longest silence of these days, and for at least that long.
FACTOR, SHORTEST_S = 2.0, 3600.0


def unusual_after(days: Sequence[Traffic]) -> float | None:
    """Return after how many seconds silence is unusual, given what came on the last days; None if it never is."""
    known = [each.longest_silence_s for each in days if each.longest_silence_s is not None]
    busy = [each for each in days if each.changes >= BUSY_CHANGES and each.longest_silence_s is not None]
    return max(SHORTEST_S, FACTOR * max(known)) if len(busy) >= BUSY_DAYS else None


async def watch_silence(engine: Engine, now: float) -> None:
    """Open an alert if a busy audience has been silent for far longer than usual, and close it when changes come.

    `now` is in UTC seconds by the database's clock.
    """
    async with engine.database.read() as db:
        live = await live_mappings.everyone(db)
        traffic = await live_mappings.traffic(db, live_mappings.day_of(now - (USUAL_DAYS - 1) * _DAY_S))
        known = {alert.mapping_id: alert for alert in await alerts.with_code(db, AlertKind.SILENCE.value)}
    for mapping in live:
        if can_deliver(mapping):
            await _watch(engine, mapping, known.get(mapping.id), traffic.get(mapping.id, []), now)


async def _watch(
    engine: Engine, mapping: AudienceMapping, known: Alert | None, days: Sequence[Traffic], now: float
) -> None:
    last = max((each.last_received_at for each in days if each.last_received_at is not None), default=None)
    if last is None:
        return
    if known is not None:
        if last > known.opened_at:
            await _end(engine, mapping, last)
        return
    limit = unusual_after(days)
    if limit is not None and now - last > limit:
        async with engine.database.write() as db:
            await alerting.open_or_repeat(
                db,
                connection_id=mapping.connection_id,
                mapping_id=mapping.id,
                run_id=None,
                code=AlertKind.SILENCE.value,
                message=_message(mapping, now - last, limit / FACTOR),
            )


async def _end(engine: Engine, mapping: AudienceMapping, last: float) -> None:
    async with engine.database.write() as db:
        # the silence that was alerted is not the usual one
        day = await live_mappings.day_now(db, mapping.id, last)
        await live_mappings.set_day(db, mapping.id, day, longest_silence_s=0.0)
        await alerting.resolve(db, mapping.connection_id, mapping.id, AlertKind.SILENCE)


def _message(mapping: AudienceMapping, silent: float, usual: float) -> str:
    return (
        f"mParticle has sent no change of audience {mapping.label} for {_length(silent)}. In the last two weeks the "
        f"longest silence was {_length(usual)}. mParticle may have faulted the connection: press Resume there."
    )


def _length(seconds: float) -> str:
    hours = seconds / 3600
    return f"{hours:.0f} hours" if hours >= 1.5 else f"{max(1, round(seconds / 60))} minutes"
