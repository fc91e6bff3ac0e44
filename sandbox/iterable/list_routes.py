"""The endpoints under /api/lists.

A new list is unknown to subscribe and unsubscribe for a while, and members show late (the settings `list_ready_after`
and `membership_after`). Iterable's own client tests repeat a subscribe to a new list for 30 seconds, and wait up to 60
for sizes.
"""

from __future__ import annotations

import random
from collections.abc import Iterable

from sandbox.iterable import benchmark_mode, membership
from sandbox.iterable.answers import INVALID_LIST
from sandbox.iterable.lists import MailingList
from sandbox.iterable.membership import Outcome
from sandbox.iterable.request import SUBSCRIBER, UNSUBSCRIBER, Call
from sandbox.iterable.responses import Answer, ApiError, bad_params
from sandbox.iterable.scripted_outcomes import BUCKETS
from sandbox.iterable.settings import Settings

_MOST_PREVIEWED = 5000
_LONGEST_DESCRIPTION = 140  # characters, as documented


def all_lists(call: Call) -> Answer:
    """`GET /api/lists`."""
    return Answer.json({"lists": [mailing_list.described() for mailing_list in call.state.lists_of(call.project)]})


def create(call: Call) -> Answer:
    """`POST /api/lists`."""
    body = call.json({"name": str}, {"description": str})
    if not body["name"].strip():
        raise bad_params(f"[{call.path}] name must not be empty")
    description = body.get("description", "")
    if len(description) > _LONGEST_DESCRIPTION:
        raise bad_params(f"[{call.path}] description has at most {_LONGEST_DESCRIPTION} characters")
    created = call.state.add_list(body["name"], description=description, project=call.project.name)
    created.ready_at = call.at + call.state.settings.list_ready_after
    call.list_id = created.id
    return Answer.json({"listId": created.id})


def delete(call: Call) -> Answer:
    """`DELETE /api/lists/{id}`."""
    mailing_list = _list(call, call.list_id)
    mailing_list.deleted = True
    return Answer.message(f"Deleted list {mailing_list.id}", "Success")


def subscribe(call: Call) -> Answer:
    """`POST /api/lists/subscribe`."""
    body = call.json({"listId": int, "subscribers": list}, {"updateExistingUsersOnly": bool})
    call.subscribers = len(body["subscribers"])
    target = _standard(call, body["listId"])
    batch = call.batch(body["subscribers"], "subscribers", SUBSCRIBER)
    settings = call.state.settings
    if call.state.lean:
        outcome = benchmark_mode.hashed(batch, by_user_id=call.project.type == "userId")
    else:
        outcome = membership.upsert(
            call.project,
            batch,
            existing_only=call.project.type != "email" and body.get("updateExistingUsersOnly", False),
            unique_user_ids=settings.unique_user_ids,
        )
    target.join(outcome.numbers, call.at)
    return Answer.json(report(outcome, len(body["subscribers"]), settings))


def unsubscribe(call: Call) -> Answer:
    """`POST /api/lists/unsubscribe`."""
    body = call.json({"listId": int, "subscribers": list}, {"campaignId": int, "channelUnsubscribe": bool})
    call.subscribers = len(body["subscribers"])
    target = _standard(call, body["listId"])
    batch = call.batch(body["subscribers"], "subscribers", UNSUBSCRIBER)
    if call.state.lean:
        outcome = benchmark_mode.hashed(batch, by_user_id=call.project.type == "userId", unsubscribing=True)
        target.leave(outcome.numbers, call.at)
    else:
        outcome = membership.remove(call.project, target, batch, call.at)
    if body.get("channelUnsubscribe", False):
        call.project.channel_unsubscribed.update(outcome.numbers)
    return Answer.json(report(outcome, len(body["subscribers"]), call.state.settings))


def size(call: Call) -> Answer:
    """`GET /api/lists/{id}/size`. That it does not know a new list at first either is assumed."""
    mailing_list = _ready(call, _list(call, call.list_id))
    return Answer.text(str(mailing_list.size() if call.state.lean else len(_shown_members(call, mailing_list))))


def get_users(call: Call) -> Answer:
    """`GET /api/lists/getUsers`. As for `size`."""
    mailing_list = _ready(call, _list(call, call.int_param("listId")))
    return Answer.text(_lines(call, sorted(_shown_members(call, mailing_list))))


def preview_users(call: Call) -> Answer:
    """`GET /api/lists/previewUsers`: a sample, which is the same for the same members."""
    mailing_list = _list(call, call.int_param("listId"))
    count = call.int_param("size", 1000)
    if not 1 <= count <= _MOST_PREVIEWED:
        raise bad_params(f"[{call.path}] size must be from 1 to {_MOST_PREVIEWED}")
    members = sorted(_shown_members(call, mailing_list))
    if len(members) > count:
        members = random.Random(mailing_list.id).sample(members, count)  # noqa: S311 - a sample, not a secret
    return Answer.text(_lines(call, members))


def report(outcome: Outcome, sent: int, settings: Settings) -> dict[str, object]:
    """Return the answer of subscribe, unsubscribe and the bulk update."""
    named: dict[str, list[str]] = {bucket: [] for bucket in BUCKETS} if settings.empty_buckets else {}
    for bucket, value in outcome.failures:
        if bucket:
            spelled = _spelled(value, settings) if bucket.endswith("Emails") else value
            named.setdefault(bucket, []).append(spelled)
    return {
        "successCount": sent - len(outcome.failures),
        "failCount": len(outcome.failures),
        "invalidEmails": [value for bucket in named if bucket.endswith("Emails") for value in named[bucket]],
        "invalidUserIds": [value for bucket in named if bucket.endswith("Ids") for value in named[bucket]],
        "failedUpdates": named,
        "createdFields": sorted(outcome.created_fields),
        "filteredOutFields": [],
    }


def _spelled(email: str, settings: Settings) -> str:
    if settings.email_case == "upper":
        return email.upper()
    return email[:1].upper() + email[1:] if settings.email_case == "capital" else email


def _lines(call: Call, numbers: Iterable[int]) -> str:
    if call.state.lean:
        raise ApiError(503, "GenericError", "The sandbox is lean: it keeps no names")
    prefer_user_id = call.bool_param("preferUserId") and call.project.type == "hybrid"
    user_id_first = prefer_user_id or call.project.type == "userId"
    lines: list[str] = []
    for number in numbers:
        email, user_id = call.project.people.identity(number)
        line = (user_id or email) if user_id_first else (email or user_id)
        if line:
            lines.append(f"{line}\n")
    return "".join(lines)


def _list(call: Call, list_id: int | None) -> MailingList:
    call.list_id = list_id
    mailing_list = call.state.lists.get(list_id or 0)
    if mailing_list is None or mailing_list.deleted or mailing_list.project != call.project.name:
        raise ApiError(400, call.state.settings.deleted_list_code, INVALID_LIST)
    return mailing_list


def _ready(call: Call, mailing_list: MailingList) -> MailingList:
    if call.at < mailing_list.ready_at:
        raise ApiError(400, call.state.settings.deleted_list_code, INVALID_LIST)
    return mailing_list


def _shown_members(call: Call, mailing_list: MailingList) -> set[int]:
    return mailing_list.members_as_of(call.at - call.state.settings.membership_after)


def _standard(call: Call, list_id: int) -> MailingList:
    mailing_list = _ready(call, _list(call, list_id))
    if mailing_list.type != "Standard":
        raise bad_params(f"{INVALID_LIST}: list {list_id} is {mailing_list.type}, not Standard")
    return mailing_list
