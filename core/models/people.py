"""The operators and approvers of a connection or a mapping: ids of people in Slack, and of Slack's user groups."""

import re
from collections.abc import Iterable, Sequence

from core.errors import ValidationError

#: The most operators, or approvers, that a connection or a mapping can have.
MOST_PEOPLE = 50

# docs.slack.dev/reference/objects: ids of users begin with U or W, those of user groups with S.
_USER = re.compile(r"[UW][A-Z0-9]{1,30}")
_GROUP = re.compile(r"S[A-Z0-9]{1,30}")


def is_user(text: str) -> bool:
    """Return whether a text is the id of a person in Slack."""
    return _USER.fullmatch(text) is not None


def is_user_group(text: str) -> bool:
    """Return whether a text is the id of a user group in Slack."""
    return _GROUP.fullmatch(text) is not None


def mention(named: str) -> str:
    """Return the mention of a person or a user group (mrkdwn).

    docs.slack.dev/messaging/formatting-message-text: <@USER_ID>, <!subteam^GROUP_ID>.
    """
    return f"<!subteam^{named}>" if is_user_group(named) else f"<@{named}>"


def check_people(ids: Sequence[str], what: str) -> tuple[str, ...]:
    """Return ids of people and user groups without repetitions. `what` names them in an error.

    Raises ValidationError if one is no id, or if there are too many.
    """
    unique = tuple(dict.fromkeys(ids))
    if len(unique) > MOST_PEOPLE:
        raise ValidationError(f"There can be {MOST_PEOPLE} {what} at most. Use a user group of Slack for more.")
    for each in unique:
        if not (is_user(each) or is_user_group(each)):
            raise ValidationError(
                f'"{each[:40]}" is no id of a person (U…) or a user group (S…) in Slack. Copy it from the profile.'
            )
    return unique


def people_only(ids: Iterable[str]) -> list[str]:
    """Return the ids of people, without those of user groups."""
    return [each for each in ids if not is_user_group(each)]
