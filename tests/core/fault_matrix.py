"""Every answer of Iterable in every phase of a run: what the run ends as, what the person is told, what is retried.

One run renames placeholders, updates, removes and adds; while it is in one phase, Iterable answers in one way. Then the
fault passes, and the run is resumed (or begun, where it could not be).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from core.connections.environment import environment_connection
from core.errors import SyncError
from core.identity import UserIdField
from core.iterable import DataCenter, RetryPolicy
from core.models.run import RunRequest, RunStatus
from core.runs import worker
from core.store import mappings
from sandbox.iterable import Fault
from sandbox.iterable.answers import REFUSALS
from tests.core.harness import LIST, Kept, Member, Sync, keep, people, queue_run, syncing

#: Gives up after a moment, and on a silent server after the time that is shown here as "at once".
MOMENT = RetryPolicy(
    max_attempts=3,
    backoff_initial_s=0.001,
    backoff_max_s=0.002,
    retry_after=0.01,
    throttle_timeout_s=0.3,
    request_timeout_s=0.3,
)

#: The requests of a phase: a path, and words that only the body of this phase has.
PHASES: Mapping[str, tuple[str, str]] = {
    "lists": ("/api/lists", ""),
    "removals": ("/api/lists/unsubscribe", ""),
    "rename": ("/api/users/updateEmail", ""),
    "updates": ("/api/lists/subscribe", "ten@example.com"),
    "adds": ("/api/lists/subscribe", "p30@example.com"),
    "size": ("/api/lists/1001/size", ""),
}

METHODS = {"lists": "GET"}

#: Iterable's answers, each that the local Iterable can give, and the ways in which a network fails.
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
WANTED = {member.email or f"{member.mpid}@placeholder.email" for member in SECOND}


@dataclass(frozen=True)
class Row:
    """What became of a run. `while_it_lasts` is how it ended, `told` the sentence, `tried` the requests beyond those of
    an undisturbed run; `afterwards` is how it ended when the fault had passed."""

    phase: str
    fault: str
    while_it_lasts: str
    told: str
    rejected: str
    tried_again: str
    afterwards: str

    def __str__(self) -> str:
        cells = (
            self.phase,
            self.fault,
            self.while_it_lasts,
            self.told,
            self.rejected,
            self.tried_again,
            self.afterwards,
        )
        return "| " + " | ".join(cells) + " |"


HEADER = """\
| phase | Iterable answers | the run | the person is told | rejected | tried again | when it has passed |
|---|---|---|---|---|---|---|"""


async def observe(directory: Path, phase: str, fault: str) -> Row:
    """Let one run meet one fault in one phase for as long as it lasts, then let it pass."""
    # only who waits for an answer that never comes should give up waiting soon
    retry_policy = MOMENT if fault.startswith("no answer") else replace(MOMENT, request_timeout_s=10.0)
    # the list is asked for where nothing was synced to it yet
    async with syncing(directory, retry_policy=retry_policy, kept=None if phase == "lists" else await _first()) as sync:
        path, contains = PHASES[phase]
        sync.iterable.faults.add(replace(FAULTS[fault], path=path, contains=contains, method=METHODS.get(phase, "")))
        if phase == "size":
            return await _size(sync, fault)
        run_id = await _queue(sync)
        await worker.start(run_id)
        outcome = await sync.outcome(run_id)
        sync.iterable.faults.clear()
        run = outcome.run
        if run.status is RunStatus.SUCCEEDED:
            after = await sync.mirror(SECOND, user_id=MPID, approved=True)  # tries again what was rejected
        else:
            after = await sync.resume(run.id)
        return Row(
            phase=phase,
            fault=fault,
            while_it_lasts=run.status.value,
            told=_anywhere(run.error or ""),
            rejected=", ".join(f"{number} {reason}" for reason, number in sorted(outcome.rejected.items())),
            tried_again="yes" if run.retries or run.throttled else "no",
            afterwards=_ending(sync, after.run.status),
        )


_kept: list[Kept] = []


async def _first() -> Kept:
    """The first run has ended, which is the same for all rows."""
    if not _kept:
        _kept.append(await keep(FIRST, user_id=MPID))
    return _kept[0]


#: What passes, and what part of the requests each strikes where they come together.
PASSING = ("500", "502 page", "503", "504 page", "reset", "reset, applied", "broken off", "not JSON", "429 for ever")
MIXED_SHARE = 0.3


async def observe_mixed(directory: Path, seed: int) -> Row:
    """Let one run meet all passing faults together, in all phases, and resume it for as long as it fails."""
    async with syncing(directory, retry_policy=MOMENT, kept=await _first()) as sync:
        each = MIXED_SHARE / len(PASSING)
        sync.iterable.faults.set([replace(FAULTS[name], path="/api/", probability=each) for name in PASSING], seed)
        run_id = await _queue(sync)
        await worker.start(run_id)
        outcome = await sync.outcome(run_id)
        while outcome.run.status is RunStatus.FAILED:
            outcome = await sync.resume(run_id)
        assert outcome.run.counters.missing == 0
        assert outcome.run.counters.members == len(SECOND)
        return Row(
            phase="all",
            fault=f"what passes, mixed, {MIXED_SHARE:.0%} of the requests",
            while_it_lasts="succeeded, resumed where it failed",
            told="",
            rejected=", ".join(f"{number} {reason}" for reason, number in sorted(outcome.rejected.items())),
            tried_again="yes",
            afterwards=_ending(sync, outcome.run.status),
        )


async def _queue(sync: Sync) -> str:
    """Queue the second run as Slack does: whether the list is there is asked when the run is planned."""
    connection = await environment_connection(sync.engine, user_id=MPID, data_center=DataCenter.US, rate=0)
    async with sync.engine.database.read() as db:
        found = await mappings.of_connection(db, connection.id, LIST)
    if not found:
        async with sync.engine.database.write() as db:
            await mappings.add(db, connection_id=connection.id, list_id=LIST, audience_id=None, audience_name="A")
            found = await mappings.of_connection(db, connection.id, LIST)
    request = RunRequest(path=str(sync.mirror_file(SECOND)), approved=True)
    worker = sync.engine.presence.id
    return await queue_run(sync.engine, connection, found[0], request, started_by="U01MAYA", worker=worker)


async def _size(sync: Sync, fault: str) -> Row:
    """The size is asked for after a run, for its summary, which is shown without it."""
    outcome = await sync.mirror(SECOND, user_id=MPID, approved=True)
    connection = await environment_connection(sync.engine, user_id=MPID, data_center=DataCenter.US, rate=0)
    told = ""
    async with sync.engine.client(connection) as client:
        try:
            await client.get_list_size(LIST)
        except SyncError as error:
            told = _anywhere(error.message)
        again = "yes" if client.traffic.retries or client.traffic.throttled else "no"
    sync.iterable.faults.clear()
    return Row("size", fault, outcome.run.status.value, told, "", again, _ending(sync, outcome.run.status))


def _anywhere(sentence: str) -> str:
    """A sentence without the port of today."""
    return re.sub(r"http://127\.0\.0\.1:\d+", "its address", sentence)


def _ending(sync: Sync, status: RunStatus) -> str:
    return f"{status.value}, list {'equal' if sync.emails() == WANTED else 'NOT equal'}"
