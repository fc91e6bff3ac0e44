"""Who may decide: the approvers of a connection, or admins if Firehose created it and it has no approvers yet."""

from bot.services import Services
from bot.slack.actor import Actor
from bot.ui.formatting import escape, person
from core.connections.permissions import has_stand_ins, why_not_approve
from core.store.connections import Connection


async def why_not_decide(
    services: Services, actor: Actor, connection: Connection, asked_by: str | None = None
) -> str | None:
    """Return why a person can't decide on a request of `asked_by`, in a sentence (mrkdwn); None if they can."""
    is_admin = False
    if has_stand_ins(connection) and (client := await services.clients.for_team(actor.team_id)) is not None:
        is_admin = await services.people.is_admin(client, actor.team_id, actor.person)
    return why_not_approve(connection, actor.person, asked_by, is_admin=is_admin)


def deciders(connection: Connection) -> str:
    """Return who may decide, in a sentence (mrkdwn)."""
    if has_stand_ins(connection):
        return (
            f"{escape(connection.label)} has no approvers yet, so admins of this workspace decide. They name approvers "
            "with *Edit* on the Home page."
        )
    named = ", ".join(person(each) for each in connection.approvers)
    return f"Approvers: {named or 'no one yet; an admin names them with *Edit* on the Home page'}"
