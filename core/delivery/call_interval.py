"""The distance between single-user and bulk calls for one person.

Iterable processes the two kinds separately, and documents (at users/bulkUpdate, where it names updateEmail) that for a
person, in a short time, only one kind should be used; after users/update it asks for 60 seconds before a dependent
request. That subscribe and unsubscribe are bulk calls in this sense is our inference. So a person whose profile was
renamed or merged is not subscribed again in the same run if the ledger knows that the person is on the list under the
new address; otherwise the subscribe waits.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from core.delivery.outcome import BatchOutcome, EntryGroup, RejectedGroup
from core.identity import PLACEHOLDER_DOMAIN, ProjectType
from core.iterable import FailureReason, IterableClient
from core.models.batch import BatchEntry, Phase
from core.models.run import Run
from core.store import batches, ledger
from core.store.batches import Batch, BatchStatus
from core.store.database import Database

# Seconds between a single-user call and a bulk call for a person.
APART_S = 60.0
# Batches that are read at once.
BATCHES_A_READ = 20


@dataclass
class Spacing:
    """When the single-user calls of a run may have changed people, by member key, on the client's clock."""

    client: IterableClient
    called_at: dict[str, float] = field(default_factory=dict)
    rejected: dict[str, tuple[str, str | None]] = field(default_factory=dict)
    """The reason and Iterable's words by member whose single-user call was rejected: no bulk call may follow."""

    async def load(self, database: Database, run_id: str) -> None:
        """Read which people former attempts of the run may have renamed. When is not known, so it counts as now."""
        for state in (BatchStatus.SENT, BatchStatus.DONE):
            after = 0
            while True:
                async with database.read() as db:
                    renames = await batches.open_batches(
                        db, run_id, state, limit=BATCHES_A_READ, phase=Phase.RENAME, after=after
                    )
                if not renames:
                    break
                after = renames[-1].id
                self._note(entry for batch in renames for entry in batch.entries)

    def note(self, outcome: BatchOutcome) -> None:
        """Record the renames and merges of a batch, also those that an earlier try may have made."""
        for units in (outcome.renamed, outcome.merged, outcome.vanished):
            self._note(entry for unit in units for entry in unit)
        self.rejected |= {unit[0].member_key: (reason, words) for unit, reason, words in outcome.rejected}

    async def wait_for(self, entries: Iterable[BatchEntry]) -> None:
        """Wait until these members may be in a bulk call. Raises AbortedError if the client is halted meanwhile."""
        times = [self.called_at[entry.member_key] for entry in entries if entry.member_key in self.called_at]
        if times:
            await self.client.wait_until(max(times) + APART_S)

    def _note(self, entries: Iterable[BatchEntry]) -> None:
        now = self.client.now()
        self.called_at |= dict.fromkeys((entry.member_key for entry in entries), now)

    async def split(
        self, database: Database, run: Run, units: list[EntryGroup]
    ) -> tuple[list[EntryGroup], list[EntryGroup], list[RejectedGroup]]:
        """Return the units of an update that have to be sent, those that a rename has done, and those to reject.

        The second are on the list under exactly their new identity, as the ledger knows. The third are on the list
        under their placeholder, because it was not renamed or merged. (If that was in a former attempt, only the ledger
        knows, in an email-based project.)
        """
        called = [unit[0].member_key for unit in units if unit[0].member_key in self.called_at]
        async with database.read() as db:
            rows = await ledger.by_profile(db, run.mapping_id, called)
        confirmed = {(key, email, user_id) for _, key, email, user_id, is_confirmed in rows if is_confirmed}
        causes = dict(self.rejected)
        if run.project_type is ProjectType.EMAIL:
            placeholders = {key for key, email, _ in confirmed if email == f"{key}@{PLACEHOLDER_DOMAIN}"}
            causes |= dict.fromkeys(placeholders - causes.keys(), (FailureReason.ERROR, None))
        to_send: list[EntryGroup] = []
        done: list[EntryGroup] = []
        rejected: list[RejectedGroup] = []
        for unit in units:
            key, email, user_id = unit[0].member_key, unit[0].email, unit[0].user_id
            if (key, email, user_id) in confirmed:
                done.append(unit)
            elif key in causes:
                rejected.append(RejectedGroup(unit, *causes[key]))
            else:
                to_send.append(unit)
        return to_send, done, rejected

    def concerns(self, batch: Batch) -> bool:
        """Return whether a batch has members that a single-user call may have changed."""
        concerned = self.called_at.keys() | self.rejected.keys()
        return bool(concerned) and not concerned.isdisjoint(batch.columns.member_keys)
