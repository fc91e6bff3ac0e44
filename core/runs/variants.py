"""The variants of an A/B test: one proposal with a mapping and a run for each, decided together."""

from collections.abc import Sequence
from dataclasses import dataclass

from core.connections import mapping_lifecycle
from core.connections.mapping_lifecycle import NewList
from core.engine import Engine
from core.errors import ValidationError
from core.iterable import IterableList
from core.models.run import Run, RunRequest, RunStatus
from core.runs.addresses import sealed
from core.runs.submission import enqueue, record_start
from core.store import mappings, runs
from core.store.connections import Connection
from core.store.mappings import AdditionLimits, MappingStatus, RemovalPolicy


@dataclass(frozen=True, slots=True)
class VariantTarget:
    """A variant, by its whole name, and the list that it goes to."""

    variant: str
    target: IterableList | NewList


def check_targets(targets: Sequence[VariantTarget]) -> None:
    """Raise ValidationError if no variant has a list, or if two have the same: that would mix up the test."""
    if not targets:
        raise ValidationError("Choose a list for one variant at least.")
    chosen = [each.target.id if isinstance(each.target, IterableList) else each.target.name for each in targets]
    if len(set(chosen)) < len(chosen):
        raise ValidationError("Two variants go to the same list, which would mix up the test. Choose a list for each.")


async def propose_variants(
    engine: Engine,
    connection: Connection,
    targets: Sequence[VariantTarget],
    *,
    path: str,
    mode: str,
    removals: RemovalPolicy,
    limits: AdditionLimits,
    channel: str | None,
    by: str,
    team_id: str | None,
) -> list[str]:
    """Propose a mapping for each variant, and queue its first run from the file at `path`: all, or none.

    The runs wait for one decision (`core.runs.approval.decide_together`). Returns their ids. Raises ValidationError as
    `check_targets` does, and ConflictError if a variant is mapped to its list already or too many runs wait.
    """
    check_targets(targets)
    group = runs.new_id()
    run_ids = []
    async with engine.database.write() as db:
        for each in targets:
            mapping = await mapping_lifecycle.propose_in(
                db,
                connection,
                each.target,
                each.variant,
                mode=mode,
                status=MappingStatus.PROPOSED,
                removal_policy=removals,
                limits=limits,
                channel=channel,
                by=by,
                team_id=team_id,
            )
            request = RunRequest(path=path, audience=each.variant, group=group, team_id=team_id)
            request = sealed(engine.vault, request)
            run_id = await enqueue(db, connection, mapping, request, started_by=by, channel=channel)
            await record_start(db, run_id, mapping, request, by=by, team_id=team_id)
            run_ids.append(run_id)
    engine.queued.set()
    return run_ids


def is_undecided(run: Run) -> bool:
    """Return whether a run of a group waits for the group's decision, or is planned for it."""
    if run.request.group is None or run.is_approved:
        return False
    return run.status is RunStatus.NEEDS_APPROVAL or (
        run.status in (RunStatus.QUEUED, RunStatus.PLANNING, RunStatus.INTERRUPTED) and run.plan is None
    )


async def undecided_with(engine: Engine, run: Run) -> list[Run]:
    """Return the undecided runs of a run's group, in the order of the variants. Only the run if it has no group."""
    if run.request.group is None:
        return [run]
    async with engine.database.read() as db:
        of_connection = await mappings.of_connection(db, run.connection_id)
        under_way = await runs.under_way(db, [mapping.id for mapping in of_connection])
    group = [each for each in under_way if each.request.group == run.request.group and is_undecided(each)]
    return sorted(group, key=lambda each: each.mapping_id)
