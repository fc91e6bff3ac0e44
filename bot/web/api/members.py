"""Looking people up."""

from bot.web.api.operations import Call, Operations
from bot.web.api.schemas import MemberChange, MemberLookup, MemberOnList, MemberQuery, time_of
from core.reporting.member_lookup import LastChange, look_up_member
from core.store.api_tokens import Scope

operations = Operations("Members")


@operations.add("POST", "/members/lookup", Scope.RUN, body=MemberQuery, result=MemberLookup)
async def look_up(call: Call, body: MemberQuery) -> MemberLookup:
    """Look up why a person is on a list, or is not.

    Iterable is asked. The person is in the body, so that no log of addresses names them; the audit log records that
    someone was looked up, but not the person.
    """
    report = await look_up_member(
        call.engine, await call.connections(), body.identity, by=call.actor, team_id=call.token.team_id
    )
    items = [
        MemberOnList(
            mapping_id=finding.mapping.id,
            list_id=finding.mapping.list_id,
            list_name=finding.list_name,
            is_synced=finding.identity is not None,
            is_certain=finding.certain,
            is_on_list=finding.is_on_list,
            rejected_because=finding.reason,
            sync_id=finding.run,
            rejected_at=None if finding.when is None else time_of(finding.when),
            last_change=_change(finding.change),
        )
        for finding in report.findings
    ]
    return MemberLookup(
        items=items,
        faults={each.connection.id: each.fault for each in report.answers if each.fault},
        forgotten_in=[each.connection.id for each in report.answers if each.is_forgotten or each.is_perhaps_forgotten],
    )


def _change(change: LastChange | None) -> MemberChange | None:
    if change is None:
        return None
    return MemberChange(is_added=change.is_added, sync_id=change.run_id, at=time_of(change.at))
