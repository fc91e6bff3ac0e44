"""The sender of a run's batches: renames and bulk requests, with the distance between the two kinds."""

from dataclasses import replace

from core.delivery.call_interval import Spacing
from core.delivery.outcome import BatchOutcome
from core.delivery.placeholder_renames import merge_known, rename
from core.delivery.sender import send_batch, units_of
from core.identity import ProjectType
from core.iterable import IterableClient
from core.models.batch import Phase, encode
from core.models.run import Run
from core.store.batches import Batch
from core.store.database import Database


class RunSender:
    """Sends the batches of one run. `merges`: profiles may be merged (see `core.delivery.placeholder_renames`)."""

    def __init__(self, database: Database, client: IterableClient, run: Run, *, merges: bool) -> None:
        """Take the parts. No I/O."""
        self._database = database
        self._client = client
        self._run = run
        self._merges = merges
        self._spacing = Spacing(client)

    async def load_former_attempts(self) -> None:
        """Read which people former attempts of the run may have renamed, before anything is sent."""
        await self._spacing.load(self._database, self._run.id)

    async def send(self, batch: Batch) -> BatchOutcome | None:
        """Send a batch. Returns its outcome, or None if every member was accepted, which saves decoding the batch.

        Raises an IterableError if the batch could not be delivered for a reason that concerns no single member.
        """
        if batch.phase is Phase.RENAME:
            return await self._rename(batch)
        if batch.phase is not Phase.UPDATE or not self._spacing.concerns(batch):
            return await send_batch(self._client, self._run.list_id, batch)
        units, done, rejected = await self._spacing.split(self._database, self._run, units_of(batch))
        if batch.data_fields:  # they are sent with a subscribe only
            units += [unit for unit in done if unit[0].member_key in batch.data_fields]
            done = [unit for unit in done if unit[0].member_key not in batch.data_fields]
        outcome = BatchOutcome(accepted=done, rejected=rejected)
        if units:
            entries = [entry for unit in units for entry in unit]
            await self._spacing.wait_for(entries)
            part = replace(batch, members=encode(entries))
            outcome += await send_batch(self._client, self._run.list_id, part) or BatchOutcome(accepted=units)
        return outcome

    async def _rename(self, batch: Batch) -> BatchOutcome:
        await self._spacing.wait_for(batch.entries)
        if self._run.project_type is ProjectType.EMAIL:
            outcome = await rename(self._client, self._run.list_id, units_of(batch), merges=self._merges)
        else:
            outcome = BatchOutcome()
            if self._merges:
                outcome = await merge_known(self._client, self._run.list_id, units_of(batch))
        self._spacing.note(outcome)
        return outcome
