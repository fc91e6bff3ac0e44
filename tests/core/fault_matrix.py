"""Every answer of Iterable in every phase of a run: how the run ends, which error it shows, and whether it retried.

One run renames placeholders, updates, removes and adds. During one phase, Iterable always gives one answer. Then the
fault ends, and the run is resumed (or synced again, if it had succeeded).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from core.connections import manage
from core.connections.environment import environment_connection
from core.errors import SyncError
from core.identity import UserIdField
from core.iterable import DataCenter, RetryPolicy
from core.models.run import RunRequest, RunStatus
from core.runs import worker
from core.store import mappings
from sandbox.iterable import Fault
from sandbox.iterable.answers import REFUSALS
from tests.clock import QuickClock
from tests.core.harness import LIST, OTHER_LIST, Kept, Member, Sync, keep, people, queue_run, syncing

#: Gives up after a moment, also on a silent server. The timeout is short; a report shows no duration.
MOMENT = RetryPolicy(
    max_attempts=3,
    backoff_initial_s=0.001,
    backoff_max_s=0.002,
    retry_after=0.01,
    throttle_timeout_s=0.3,
    request_timeout_s=0.3,
)

#: The requests of a phase: the path, and words that only the body of this phase has.
PHASES: Mapping[str, tuple[str, str]] = {
    "lists": ("/api/lists", ""),
    "removals": ("/api/lists/unsubscribe", ""),
    "rename": ("/api/users/updateEmail", ""),
    "merge": ("/api/users/merge", ""),
    "updates": ("/api/lists/subscribe", "ten@example.com"),
    "adds": ("/api/lists/subscribe", "p30@example.com"),
    "size": ("/api/lists/1001/size", ""),
}

METHODS = {"lists": "GET"}

#: All answers that the local Iterable can give, and the ways in which a network fails.
FAULTS: Mapping[str, Fault] = {name: Fault("answer", answer=name) for name in REFUSALS} | {
    "429 for ever": Fault("throttle", retry_after=0.02),
    "reset": Fault("reset"),
    "reset, applied": Fault("reset", applied=True),
    "no answer": Fault("hang"),
    "no answer, applied": Fault("hang", applied=True),
    "broken off": Fault("truncated"),
    "not JSON": Fault("not_json"),
}

MPID = UserIdField.MPID
FIRST = [Member(n) for n in range(1, 6)] + people(range(10, 20))
# 1 and 2 get an address (renames), 10 another one, 11 and 12 leave, 30 and 31 join.
SECOND = [
    Member(1, "one@example.com"),
    Member(2, "two@example.com"),
    *[Member(n) for n in range(3, 6)],
    Member(10, "ten@example.com"),
    *people([*range(13, 20), 30, 31]),
]
EXPECTED = {member.email or f"{member.mpid}@placeholder.email" for member in SECOND}


@dataclass(frozen=True)
class Row:
    """The outcome of a run: how it ended (`during` the fault), its error, whether it retried, and how it ended
    `after`.
    """

    phase: str
    fault: str
    during: str
    error: str
    rejected: str
    retried: str
    after: str

    def __str__(self) -> str:
        cells = (
            self.phase,
            self.fault,
            self.during,
            self.error,
            self.rejected,
            self.retried,
            self.after,
        )
        return "| " + " | ".join(cells) + " |"


HEADER = """\
| phase | Iterable answers | run | error | rejected | retried | after the fault |
|---|---|---|---|---|---|---|"""


async def observe(directory: Path, phase: str, fault: str) -> Row:
    """Let one run meet one fault in one phase until it ends, then clear the fault."""
    # only a run that waits for an answer that never comes needs a short timeout
    retry_policy = MOMENT if fault.startswith("no answer") else replace(MOMENT, request_timeout_s=10.0)
    # a run asks for the list if nothing has been synced to it yet
    async with syncing(directory, retry_policy=retry_policy, kept=None if phase == "lists" else await _first()) as sync:
        path, contains = PHASES[phase]
        sync.iterable.faults.add(replace(FAULTS[fault], path=path, contains=contains, method=METHODS.get(phase, "")))
        if phase == "size":
            return await _size(sync, fault)
        if phase == "merge":
            await _let_merge(sync)
        run_id = await _queue(sync)
        await worker.start(sync.engine, run_id)
        outcome = await sync.outcome(run_id)
        sync.iterable.faults.clear()
        run = outcome.run
        if run.status is RunStatus.SUCCEEDED:
            final = await sync.mirror(SECOND, user_id=MPID, approved=True)  # sends the rejected members again
        else:
            final = await sync.resume(run.id)
        return Row(
            phase=phase,
            fault=fault,
            during=run.status.value,
            error=_anywhere(run.error or ""),
            rejected=", ".join(f"{number} {reason}" for reason, number in sorted(outcome.rejected.items())),
            retried="yes" if run.retries or run.throttled else "no",
            after=_ending(sync, final.run.status),
        )


async def _let_merge(sync: Sync) -> None:
    """Allow merging, and give another profile an address that a placeholder is about to get."""
    sync.engine.clock = QuickClock()  # the update follows a merge after a minute
    await sync.subscribe_by_hand("one@example.com", OTHER_LIST)
    connection = await environment_connection(sync.engine, user_id=MPID, data_center=DataCenter.US, rate=0)
    await manage.change(sync.engine, connection, by="terminal", team_id=None, merges_profiles=True)


_kept: list[Kept] = []


async def _first() -> Kept:
    """The state after the first run, which is the same for all rows."""
    if not _kept:
        _kept.append(await keep(FIRST, user_id=MPID))
    return _kept[0]


#: The transient faults, and the share of the requests that all of them together hit.
TRANSIENT = ("500", "502 page", "503", "504 page", "reset", "reset, applied", "broken off", "not JSON", "429 for ever")
MIXED_SHARE = 0.3


async def observe_mixed(directory: Path, seed: int) -> Row:
    """Let one run meet all transient faults together, in all phases, and resume it as long as it fails."""
    async with syncing(directory, retry_policy=MOMENT, kept=await _first()) as sync:
        each = MIXED_SHARE / len(TRANSIENT)
        sync.iterable.faults.set([replace(FAULTS[name], path="/api/", probability=each) for name in TRANSIENT], seed)
        run_id = await _queue(sync)
        await worker.start(sync.engine, run_id)
        outcome = await sync.outcome(run_id)
        while outcome.run.status is RunStatus.FAILED:
            outcome = await sync.resume(run_id)
        assert outcome.run.counters.missing == 0
        assert outcome.run.counters.members == len(SECOND)
        return Row(
            phase="all",
            fault=f"transient faults, mixed, {MIXED_SHARE:.0%} of the requests",
            during="succeeded, resumed after each failure",
            error="",
            rejected=", ".join(f"{number} {reason}" for reason, number in sorted(outcome.rejected.items())),
            retried="yes",
            after=_ending(sync, outcome.run.status),
        )


async def _queue(sync: Sync) -> str:
    """Queue the second run as Slack does: without asking whether the list exists until the run is planned."""
    connection = await environment_connection(sync.engine, user_id=MPID, data_center=DataCenter.US, rate=0)
    async with sync.engine.database.read() as db:
        list_mappings = await mappings.of_connection(db, connection.id, LIST)
    if not list_mappings:
        async with sync.engine.database.write() as db:
            await mappings.add(db, connection_id=connection.id, list_id=LIST, audience_id=None, audience_name="A")
            list_mappings = await mappings.of_connection(db, connection.id, LIST)
    request = RunRequest(path=str(sync.mirror_file(SECOND)), approved=True)
    worker = sync.engine.presence.id
    return await queue_run(sync.engine, connection, list_mappings[0], request, started_by="U01MAYA", worker=worker)


async def _size(sync: Sync, fault: str) -> Row:
    """Ask for the size of the list after a run, as its summary does, which is shown without it."""
    outcome = await sync.mirror(SECOND, user_id=MPID, approved=True)
    connection = await environment_connection(sync.engine, user_id=MPID, data_center=DataCenter.US, rate=0)
    error_text = ""
    async with sync.engine.client(connection) as client:
        try:
            await client.get_list_size(LIST)
        except SyncError as error:
            error_text = _anywhere(error.message)
        retried = "yes" if client.traffic.retries or client.traffic.throttled else "no"
    sync.iterable.faults.clear()
    return Row("size", fault, outcome.run.status.value, error_text, "", retried, _ending(sync, outcome.run.status))


def _anywhere(sentence: str) -> str:
    """A sentence without the port, which differs each time."""
    return re.sub(r"http://127\.0\.0\.1:\d+", "its address", sentence)


def _ending(sync: Sync, status: RunStatus) -> str:
    return f"{status.value}, list {'equal' if sync.emails() == EXPECTED else 'NOT equal'}"
