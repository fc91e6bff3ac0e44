"""Operations on the checks of lists: whether a list in Iterable is what was synced, and its repair."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from bot.web.api.operations import Call, Operations
from bot.web.api.schemas import Schema, Sent, Sync, time_of
from bot.web.api.syncs import SENT_ONCE, described, idempotency_key
from core.errors import NotFoundError
from core.models.run import Repair, RunRequest, SyncMode
from core.runs import commands
from core.runs.verification import Depth, verify
from core.store import list_checks
from core.store.api_tokens import Scope
from core.store.list_checks import ListCheck as StoredCheck

operations = Operations("Checks of lists")


class ListCheck(Schema):
    """What the last check of a list found. Numbers are null if they were not read."""

    list_id: int
    checked_at: datetime | None
    matched_at: Annotated[datetime | None, Field(description="When it matched last.")]
    ours: Annotated[int | None, Field(description="People who were synced to it.")]
    in_iterable: Annotated[int | None, Field(description="People on it.")]
    in_mparticle: Annotated[int | None, Field(description="People in the audience, as mParticle counts.")]
    missing: Annotated[int | None, Field(description="Of ours, who are not on it (of `sampled`, if that is not 0).")]
    extra: Annotated[int | None, Field(description="On it, and not ours.")]
    sampled: int

    @classmethod
    def of(cls, check: StoredCheck) -> "ListCheck":
        """Describe a check."""
        return cls(
            list_id=check.list_id,
            checked_at=None if check.checked_at is None else time_of(check.checked_at),
            matched_at=None if check.matched_at is None else time_of(check.matched_at),
            ours=check.ours,
            in_iterable=check.in_iterable,
            in_mparticle=check.in_mparticle,
            missing=check.missing,
            extra=check.extra,
            sampled=check.sampled,
        )


class Verification(Schema):
    """The result of a check."""

    drift: Annotated[bool, Field(description="Whether the list differs by more than the limit.")]
    early: Annotated[bool, Field(description="A sync ended so shortly before that Iterable may not show it yet.")]
    check: ListCheck


class RepairRequest(Sent):
    """What a repair does."""

    repairs: Annotated[
        Repair, Field(description="`missing`: add people again who are missing. `both`: remove who is extra as well.")
    ]


@operations.add("GET", "/mappings/{mapping_id}/check", Scope.READ, result=ListCheck, errors=(404,))
async def get_check(call: Call) -> ListCheck:
    """Get the last check of a mapping's list."""
    owner, mapping = await call.mapping(call.number("mapping_id"))
    async with call.engine.database.read() as db:
        check = await list_checks.of_list(db, owner.id, mapping.list_id)
    if check is None or check.checked_at is None:
        raise NotFoundError(f"The list of mapping {mapping.id} was not checked yet.", mapping_id=mapping.id)
    return ListCheck.of(check)


@operations.add("POST", "/mappings/{mapping_id}/check", Scope.RUN, result=Verification, errors=(404, 409))
async def verify_list(call: Call) -> Verification:
    """Compare the list of a mapping with what was synced to it, now.

    First the sizes are compared, and the people only if the sizes differ by more than the limit.
    """
    _, mapping = await call.mapping(call.number("mapping_id"))
    result = await verify(call.engine, mapping.id, Depth.SIZES)
    return Verification(drift=result.is_drift, early=result.is_early, check=ListCheck.of(result.check))


@operations.add(
    "POST",
    "/mappings/{mapping_id}/repair",
    Scope.RUN,
    body=RepairRequest,
    result=Sync,
    status=202,
    headers=SENT_ONCE,
    errors=(404, 409),
)
async def repair_list(call: Call, body: RepairRequest) -> Sync:
    """Start the repair of a mapping's list: a sync that makes it what was synced to it, and needs approval."""
    _, mapping = await call.mapping(call.number("mapping_id"))
    sync_id = await commands.start(
        call.engine,
        mapping,
        RunRequest(path="", mode=SyncMode.DELTA, repairs=body.repairs),
        by=call.actor,
        channel=mapping.channel,
        team_id=call.token.team_id,
        once=idempotency_key(call, ["repair", mapping.id, body.repairs.value]),
    )
    return await described(call, sync_id)
