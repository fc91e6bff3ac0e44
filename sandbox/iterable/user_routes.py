"""The endpoints under /api/users."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final

from sandbox.iterable import benchmark_mode, membership, scripted_outcomes, single_calls, user_fields
from sandbox.iterable.list_routes import report
from sandbox.iterable.request import SUBSCRIBER, Call
from sandbox.iterable.responses import Answer, bad_params
from sandbox.iterable.scripted_outcomes import Failure
from sandbox.iterable.single_calls import refusal, refuse, success

_USER: Final = {**SUBSCRIBER, "createNewFields": bool}


def update_email(call: Call) -> Answer:
    """`POST /api/users/updateEmail`: renames a person, who stays on all lists."""
    body = call.json({"newEmail": str}, {"currentEmail": str, "currentUserId": str})
    if call.project.type != "email":
        raise bad_params(f"[{call.path}] works in email-based projects only: use /api/users/update")
    current, user_id = body.get("currentEmail"), body.get("currentUserId")
    if current is None and user_id is None:
        raise bad_params(f"[{call.path}] missing: currentEmail or currentUserId")
    people = call.project.people
    email, new = current and current.lower(), body["newEmail"].lower()

    def rename(*, is_applied: bool) -> None:
        refuse(scripted_outcomes.judge(new, None))
        number = membership.find(call.project, email, user_id)
        if number is None:
            raise refusal(membership.not_found(call.project, email, user_id))
        refuse(membership.forgotten(call.project, new, None))
        if new in people.emails.first:
            raise refusal(Failure("conflictEmails", new))
        if is_applied:
            people.emails.set(number, new)

    return single_calls.apply(call, rename)


def update(call: Call) -> Answer:
    """`POST /api/users/update`: finds or creates one person; `dataFields` may contain new identifiers."""
    body = call.json({}, _USER)
    email = body["email"].lower() if "email" in body else None
    user_id, data = body.get("userId"), body.get("dataFields", {})
    if email is None and user_id is None:
        raise bad_params(f"[{call.path}] missing: email or userId")
    project, unique = call.project, call.state.settings.unique_user_ids
    refuse(scripted_outcomes.judge(email, user_id))
    refuse(membership.forgotten(project, email, user_id))
    refuse(user_fields.refused(project, data, email, user_id))
    prefer = body.get("preferUserId", False)
    outcome = membership.resolve(project, email, user_id, prefer_user_id=prefer, unique_user_ids=unique)
    number = _number(outcome)
    _change_identity(call, number, data)
    user_fields.store(project, number, data, body.get("mergeNestedObjects", False))
    return success()


def bulk_update(call: Call) -> Answer:
    """`POST /api/users/bulkUpdate`."""
    body = call.json({"users": list}, {"createNewFields": bool})
    batch = call.batch(body["users"], "users", SUBSCRIBER)
    if call.state.lean:
        outcome = benchmark_mode.hashed(batch, by_user_id=call.project.type == "userId")
    else:
        outcome = membership.upsert(call.project, batch, unique_user_ids=call.state.settings.unique_user_ids)
    return Answer.json(report(outcome, len(body["users"]), call.state.settings))


def get_by_email(call: Call) -> Answer:
    """`GET /api/users/getByEmail`: an empty object for an unknown person."""
    return _user(call, call.project.people.emails.first.get(call.param("email").lower()))


def by_user_id(call: Call) -> Answer:
    """`GET /api/users/byUserId`: the same data as getByEmail (API description 1.8)."""
    return _user(call, call.project.people.user_ids.first.get(call.param("userId")))


def _user(call: Call, number: int | None) -> Answer:
    """Return a person with the lists that they are on. Iterable does not say since when."""
    if number is None:
        return Answer.json({})
    email, user_id = call.project.people.identity(number)
    lists = call.state.lists_of(call.project)
    after = call.state.settings.membership_after
    list_ids = [each.id for each in lists if number in each.members_as_of(call.at - after)]
    field = "emailListIds" if call.project.type == "email" else "userListIds"
    data = {**call.project.data.get(number, {}), "email": email, field: list_ids}
    user = {"email": email, "dataFields": data}
    if user_id is not None:
        user["userId"] = user_id
        data["userId"] = user_id
    return Answer.json({"user": user})


def get_fields(call: Call) -> Answer:
    """`GET /api/users/getFields`: the type of each field of the project (API description 1.8)."""
    return Answer.json({"fields": user_fields.types_of(call.project)})


def forgotten_emails(call: Call) -> Answer:
    """`GET /api/users/forgotten`."""
    if call.project.type == "userId":
        raise bad_params(f"[{call.path}] does not work in userID-based projects")
    return Answer.json({"hashedEmails": _hashes(call.project.forgotten_emails)})


def forgotten_user_ids(call: Call) -> Answer:
    """`GET /api/users/forgottenUserIds`."""
    if call.project.type == "email":
        raise bad_params(f"[{call.path}] does not work in email-based projects")
    return Answer.json({"hashedUserIds": _hashes(call.project.forgotten_user_ids)})


def _change_identity(call: Call, number: int, data: dict[str, object]) -> None:
    """Apply the identifiers in `dataFields`, which may change the one that finds the person."""
    email, user_id = data.pop("email", None), data.pop("userId", None)
    people, kind = call.project.people, call.project.type
    if isinstance(user_id, str):
        refuse(scripted_outcomes.judge(None, user_id))
        if kind != "email" and people.user_ids.first.get(user_id, number) != number:
            raise refusal(Failure("conflictUserIds", user_id))
        people.user_ids.set(number, user_id)
    if isinstance(email, str) and kind != "email":
        refuse(scripted_outcomes.judge(email.lower(), None))
        if kind == "hybrid" and people.emails.first.get(email.lower(), number) != number:
            raise refusal(Failure("conflictEmails", email))
        people.emails.set(number, email.lower())


def _number(outcome: int | Failure) -> int:
    if isinstance(outcome, Failure):
        raise refusal(outcome)
    return outcome


def _hashes(identifiers: Iterable[str]) -> list[str]:
    return sorted(hashlib.sha256(identifier.strip().lower().encode()).hexdigest() for identifier in identifiers)
