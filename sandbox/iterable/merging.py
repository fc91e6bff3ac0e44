"""`POST /api/users/merge`: moves a person (the source) into another (the destination).

Documented (API description 1.8): exactly one identifier of each; an unknown source is an error; an unknown destination
only changes the identifier of the source; 409 if one of them is forgotten; the source is deleted, and its profile data
and events are migrated. The destination's values win. In userID-based projects a person is identified by user id only.

Whether a merge carries over the lists of the source is not documented: by default it does not, which is the harder
case for a client (the setting `merge_keeps_lists`).
"""

from __future__ import annotations

from sandbox.iterable import membership, scripted_outcomes, single_calls
from sandbox.iterable.request import Call
from sandbox.iterable.responses import Answer, bad_params
from sandbox.iterable.single_calls import refusal, refuse

_FIELDS = {"sourceEmail": str, "sourceUserId": str, "destinationEmail": str, "destinationUserId": str}


def merge(call: Call) -> Answer:
    """`POST /api/users/merge`."""
    body = call.json({}, _FIELDS)
    source, destination = _identifier(call, body, "source"), _identifier(call, body, "destination")
    if source == destination:
        raise bad_params(f"[{call.path}] source and destination are the same")

    def change(*, is_applied: bool) -> None:
        project = call.project
        for email, user_id in (source, destination):
            refuse(scripted_outcomes.judge(email, user_id))
            refuse(membership.forgotten(project, email, user_id))
        number = membership.find(project, *source)
        if number is None:
            raise refusal(membership.not_found(project, *source))
        kept = membership.find(project, *destination)
        if kept == number:
            raise bad_params(f"[{call.path}] source and destination are the same user")
        if is_applied:
            _change_identifier(call, number, destination) if kept is None else _merge(call, number, kept)

    return single_calls.apply(call, change)


def _identifier(call: Call, body: dict[str, str], which: str) -> tuple[str | None, str | None]:
    email, user_id = body.get(f"{which}Email"), body.get(f"{which}UserId")
    if (email is None) is (user_id is None):
        raise bad_params(f"[{call.path}] give one of {which}Email and {which}UserId")
    if email is not None and call.project.type == "userId":
        raise bad_params(f"[{call.path}] userID-based projects identify users by userId only")
    return email and email.lower(), user_id


def _change_identifier(call: Call, number: int, destination: tuple[str | None, str | None]) -> None:
    email, user_id = destination
    people = call.project.people
    if email is not None:
        people.emails.set(number, email)
    if user_id is not None:
        people.user_ids.set(number, user_id)


def _merge(call: Call, source: int, kept: int) -> None:
    project = call.project
    user_id = project.people.user_ids.values[source]
    for mailing_list in call.state.lists_of(project):
        if source in mailing_list.members:
            if call.state.settings.merge_keeps_lists:
                mailing_list.join([kept], call.at)
            mailing_list.leave([source], call.at)
    project.people.forget(source)
    if user_id is not None and project.people.user_ids.values[kept] is None:
        project.people.user_ids.set(kept, user_id)
    project.data[kept] = {**project.data.pop(source, {}), **project.data.get(kept, {})}
