"""Why a person is on a list, or is not: what the ledger and the rejections of the last 30 days say."""

from collections.abc import Sequence
from dataclasses import dataclass

from core.engine import Engine
from core.store import ledger, lists, mappings, rejections
from core.store.mappings import AudienceMapping


@dataclass(frozen=True, slots=True)
class MemberFinding:
    """What is known of a person in one mapping.

    `identity` is the email and the user id under which the ledger holds them (None: it does not), and `certain` is
    False where a request was sent and its answer never seen. `reason`, `run` and `when` (seconds since 1970) are of
    their last rejection, where there was one.
    """

    mapping: AudienceMapping
    list_name: str
    identity: tuple[str | None, str | None] | None
    certain: bool
    reason: str | None = None
    run: str | None = None
    when: float | None = None


async def lookup_member(engine: Engine, connection_ids: Sequence[int], text: str) -> list[MemberFinding]:
    """Return what is known of a person, by an email, a user id (customer id) or an mpid, a finding a mapping.

    A mapping of which nothing is known of the person has none. Rejections are kept for 30 days.
    """
    wanted = text.strip()
    found: list[MemberFinding] = []
    async with engine.database.read() as db:
        names = await lists.names(db, connection_ids)
        for connection_id in connection_ids:
            of_connection = {mapping.id: mapping for mapping in await mappings.of_connection(db, connection_id)}
            held = await ledger.of_person(db, list(of_connection), wanted)
            refused = await rejections.of_person(db, list(of_connection), wanted)
            for mapping_id, mapping in of_connection.items():
                row = held.get(mapping_id)
                last = refused.get(mapping_id) if row is None else None  # what was before says nothing any more
                if row is None and last is None:
                    continue
                found.append(
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
    return found
