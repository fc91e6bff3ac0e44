"""The type-ahead menu of mParticle's audiences."""

from dataclasses import dataclass
from typing import Self

from slack_sdk.models.blocks import Option

from bot.services import Services
from bot.ui.audience_words import counted
from bot.ui.blocks import OPTION_MAX, option
from core.errors import InputError, SyncError
from core.mparticle.models import ListedAudience
from core.store.connections import Connection

# Slack's limit; one option may be the text as it was typed.
MOST_OPTIONS = 100
# A name of this length fits into an option's value in any alphabet.
TYPED_MAX = 100

_ID, _TYPED, _TROUBLE = "id:", "typed:", "trouble"


class NoSuchAudienceError(InputError):
    """The chosen audience is no longer in mParticle."""

    code = "no_such_audience"


@dataclass(frozen=True, slots=True)
class AudienceChoice:
    """A chosen audience: one of mParticle's, or (`typed_name`) a name or id that it does not list."""

    audience_id: str | None = None
    typed_name: str | None = None

    @classmethod
    def read(cls, value: str | None) -> Self:
        """Read the value of an option."""
        if value is not None and value.startswith(_ID):
            return cls(audience_id=value.removeprefix(_ID))
        if value is not None and value.startswith(_TYPED):
            return cls(typed_name=value.removeprefix(_TYPED))
        return cls()


async def audience_options(services: Services, connection: Connection, typed: str) -> list[Option]:
    """Return the audiences whose name or id contains the text, with their sizes, and the text as it was typed.

    mParticle lists no variants of an A/B test and no inactive audiences, so a name that it does not list can be chosen.
    """
    name = typed.strip()
    options: list[Option] = []
    is_listed = False
    try:
        known = await services.audiences.get(connection)
    except SyncError as error:
        options.append(option("mParticle can't be asked. You can type the name.", _TROUBLE, error.message))
    else:
        listed = [each for each in known.audiences if each.contains(name)] if known else []
        is_listed = any(each.is_called(name) for each in listed)
        options += [
            option(_label(each), f"{_ID}{each.id}", f"{counted(each)}, id {each.id}")
            for each in listed[: MOST_OPTIONS - 1]
        ]
    if name and not is_listed and len(name) <= TYPED_MAX and name.isprintable():
        options.append(option(f'Use "{name}" as you typed it', f"{_TYPED}{name}", "mParticle does not list it"))
    return options


async def resolve_audience(services: Services, connection: Connection, audience_id: str) -> ListedAudience:
    """Return the chosen audience. Raises NoSuchAudienceError if it was deleted, a SyncError if mParticle fails."""
    known = await services.audiences.get(connection)
    audience = None if known is None else known.by_id(audience_id)
    if audience is None:
        raise NoSuchAudienceError("mParticle no longer has this audience. Choose another one.")
    return audience


def _label(audience: ListedAudience) -> str:
    """Return the name for an option: the end of a long name is cut, not the id that tells it apart."""
    if audience.internal_name.casefold() != audience.name.casefold():
        return f"{audience.name} ({audience.internal_name})"
    name = audience.name
    return name if len(name) <= OPTION_MAX else f"{name[: OPTION_MAX - len(audience.id) - 4]}… ({audience.id})"
