"""Member lookup: why a person is on a list or not, from the ledger and the rejections of the last 30 days."""

from collections.abc import Sequence
from dataclasses import dataclass

from core.engine import Engine
from core.store import ledger, lists, mappings, rejections
from core.store.mappings import AudienceMapping


@dataclass(frozen=True, slots=True)
class MemberFinding:
    """The entries about a person in the ledger and the rejections of one mapping.

    `identity` is the email and the user id in the ledger (None: not in the ledger), and `certain` is False if a request
    was sent and its answer was never received. `reason`, `run` and `when` (seconds since 1970) describe the last
    rejection, if there was one.
    """

    mapping: AudienceMapping
    list_name: str
    identity: tuple[str | None, str | None] | None
    certain: bool
    reason: str | None = None
    run: str | None = None
    when: float | None = None


async def lookup_member(engine: Engine, connection_ids: Sequence[int], text: str) -> list[MemberFinding]:
    """Return one finding per mapping for a person, given by email, user id (customer id) or mpid.

    Mappings without an entry about the person are left out. Rejections are kept for 30 days.
    """
    identity = text.strip()
    findings: list[MemberFinding] = []
    async with engine.database.read() as db:
        names = await lists.names(db, connection_ids)
        for connection_id in connection_ids:
            of_connection = {mapping.id: mapping for mapping in await mappings.of_connection(db, connection_id)}
            ledger_rows = await ledger.of_person(db, list(of_connection), identity)
            rejected = await rejections.of_person(db, list(of_connection), identity)
            for mapping_id, mapping in of_connection.items():
                row = ledger_rows.get(mapping_id)
                # rejections from before the member was added are outdated
                last = rejected.get(mapping_id) if row is None else None
                if row is None and last is None:
                    continue
                findings.append(
                    MemberFinding(
                        mapping=mapping,
                        list_name=names.get((connection_id, mapping.list_id), f"list {mapping.list_id}"),
                        identity=(row.email, row.user_id) if row is not None else None,
                        certain=row is not None and row.is_confirmed,
                        reason=last.reason if last is not None else None,
                        run=last.run_id if last is not None else None,
                        when=last.at if last is not None else None,
                    )
                )
    return findings
