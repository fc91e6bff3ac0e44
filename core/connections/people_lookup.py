"""People and user groups of Slack by what a person calls them: an id, an email address, or the handle of a group."""

from collections.abc import Sequence

from core.engine import Engine
from core.errors import SyncError, ValidationError
from core.models.people import check_people, is_user, is_user_group


class PeopleUnknownError(SyncError):
    """Slack does not say who has an email address."""

    code = "people_not_known"


async def look_up_people(engine: Engine, team_id: str | None, texts: Sequence[str], what: str) -> tuple[str, ...]:
    """Return the ids of people and user groups in a workspace. `what` names them in an error: "approvers".

    A text is an id (U…, S…), an email address, or the handle of a group with @. Raises ValidationError if it is none of
    them or no one has it, and a SyncError if Slack does not say.
    """
    names = [each.strip() for each in texts]
    to_find = [each for each in names if "@" in each]
    for each in names:
        if "@" not in each and not (is_user(each) or is_user_group(each)):
            raise ValidationError(
                f'"{each[:40]}" names no one in Slack. Use an id (U… or S…), an email address, or @ and the handle of '
                "a user group."
            )
    if not to_find:
        return check_people(names, what)
    if engine.people_finder is None:
        raise ValidationError(
            "Slack is not configured here, so no one can be looked up by an email address or a handle. Use ids of "
            "people (U…) and user groups (S…)."
        )
    ids = dict(zip(to_find, await engine.people_finder(team_id, to_find), strict=True))
    return check_people([ids.get(each, each) for each in names], what)
