"""Permissions: what a person may do with a connection. Pure functions, called at every click.

For a mapping with operators or approvers of its own, pass the connection that `core.store.tenancy.as_of_mapping`
returns. People in user groups count only if `Connection.group_members` has the group.
"""

from core.models.people import is_user, mention
from core.store.api_tokens import ApiToken
from core.store.connections import Connection


def may_start(connection: Connection, person: str) -> bool:
    """Return whether a person (a Slack user id) may start, cancel and repeat runs, and propose mappings."""
    return not connection.operators or connection.names(person)


def may_see_rejected(connection: Connection, person: str) -> bool:
    """Return whether a person may see the addresses of rejected members and look people up.

    Addresses are personal data, so only operators and approvers may see them, even if anyone may start runs.
    """
    return connection.names(person)


def has_stand_ins(connection: Connection) -> bool:
    """Return whether workspace admins decide in place of approvers.

    They do if mParticle's messages created the connection and it has no approvers yet.
    """
    return connection.mparticle_settings_digest is not None and not connection.approvers


def why_not_approve(
    connection: Connection,
    person: str,
    asked_by: str | None,
    *,
    proposed_by: str | None = None,
    is_admin: bool = False,
) -> str | None:
    """Return a sentence that says why a person may not approve what `asked_by` requested, or None if they may.

    `proposed_by` proposed the mapping that is approved at the same time (None: it was approved before).
    """
    if has_stand_ins(connection):
        if is_admin:
            return None
        return (
            f"{connection.label} has no approvers yet, so an admin of this workspace decides. They also name the "
            "approvers: Edit, on the Home page."
        )
    if not connection.is_approver(person):
        named = ", ".join(map(mention, connection.approvers)) or "no one yet"
        return f"Only an approver of {connection.label} can decide this: {named}.{unknown_groups(connection)}"
    return None if connection.self_approval else _own_request(person, asked_by, proposed_by)


def unknown_groups(connection: Connection) -> str:
    """Return a sentence, after a blank, about user groups whose people Slack does not say; empty if there are none."""
    if not connection.unknown_groups:
        return ""
    groups = ", ".join(map(mention, connection.unknown_groups))
    return f" Slack does not say at the moment who is in {groups}, so no one counts as a member. Try again in a minute."


def why_token_may_not_approve(
    connection: Connection, token: ApiToken, asked_by: str | None, *, proposed_by: str | None
) -> str | None:
    """Return a sentence that says why an API token may not approve what `asked_by` requested, or None if it may.

    Its scope permits it to approve; an admin gave it that scope. It is not for the requests of that admin.
    """
    if connection.self_approval:
        return None
    if is_user(token.created_by) and token.created_by in (asked_by, proposed_by):
        return (
            "The person who created this token asked for this sync, or proposed its mapping, so another approver has "
            "to decide it."
        )
    return _own_request(token.actor, asked_by, proposed_by)


def _own_request(person: str, asked_by: str | None, proposed_by: str | None) -> str | None:
    if person not in (asked_by, proposed_by):
        return None
    if person == asked_by:
        return "You asked for this yourself, so another approver has to decide it."
    return "You proposed this mapping yourself, and it is approved with the sync, so another approver has to decide it."
