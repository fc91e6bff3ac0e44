"""Options that several commands share."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from core.errors import InputError
from core.identity import ProjectType, UserIdField

if TYPE_CHECKING:
    from core.store.mappings import AdditionLimits

#: The largest id that the database can store.
MOST = 2**63 - 1

#: The type of the local Iterable's project.
SandboxProject = Annotated[
    ProjectType, typer.Option("--project-type", help="The type of the local Iterable's project.")
]


class ModeChoice(StrEnum):
    """What a run does with its source."""

    AUTO = "auto"
    MIRROR = "mirror"
    DELTA = "delta"
    ADD = "add"


class DataCenterChoice(StrEnum):
    """The data center of an Iterable project."""

    US = "us"
    EU = "eu"


class MissedChoice(StrEnum):
    """What to do about times of a schedule at which no process ran."""

    ONCE = "once"
    SKIP = "skip"


class IdentifiersChoice(StrEnum):
    """How the run log names people (core.store.run_log.Identifiers)."""

    RAW = "raw"
    HASHED = "hashed"
    NONE = "none"


class ExistingChoice(StrEnum):
    """Which of the files that are there at the first look are synced."""

    NEWEST = "newest"
    ALL = "all"
    NONE = "none"


def _rate(value: float | None) -> float | None:
    if value is not None and not 0 <= value <= 10_000:
        raise typer.BadParameter("must be between 0 (no limit) and 10000.")
    return value


def _id(value: int) -> int:
    if not 0 < value <= MOST:
        raise typer.BadParameter("must be a positive integer.")
    return value


ListId = Annotated[int, typer.Option("--list", callback=_id, help="The id of the list in Iterable.")]
ConnectionName = Annotated[
    str | None,
    typer.Option("--connection", help="A saved connection.", show_default="the key in ITERABLE_API_KEY"),
]
UserId = Annotated[
    UserIdField | None,
    typer.Option("--user-id", help="The identity that becomes Iterable's userId.", show_default="the connection's"),
]
Mode = Annotated[
    ModeChoice,
    typer.Option(
        help="mirror: make the list equal to the file. delta: the file holds additions and removals. "
        "add: remove no one. auto: by the type of the file."
    ),
]
Rate = Annotated[
    float | None,
    typer.Option(help="Requests a second, 0 for no limit.", show_default="the connection's", callback=_rate),
]
NewUserId = Annotated[
    UserIdField | None,
    typer.Option("--user-id", help="The identity that becomes Iterable's userId.", show_default="customerId"),
]
NewRate = Annotated[
    float | None, typer.Option("--rate", help="Requests a second, 0 for no limit.", show_default="5", callback=_rate)
]
DataCenter = Annotated[
    DataCenterChoice | None, typer.Option("--data-center", help="Where the project lives.", show_default="us")
]
MaxAdd = Annotated[
    int | None,
    typer.Option("--max-add", min=0, help="Ask before a sync adds more people than this.", show_default="1000"),
]
MaxAddPercent = Annotated[
    float | None,
    typer.Option(
        "--max-add-percent",
        min=0,
        help="And more than this percentage of the people who were synced before.",
        show_default="50",
    ),
]
MaxRemovePercent = Annotated[
    float | None,
    typer.Option(
        "--max-remove-percent",
        min=0,
        max=100,
        help="Ask before a sync removes more than this percentage of the people who were synced before.",
        show_default="20",
    ),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Approve the plan that was printed last.")]
YesInAdvance = Annotated[
    bool, typer.Option("--yes", "-y", help="Approve in advance what a guard asks about, for the plan of this command.")
]
Sure = Annotated[bool, typer.Option("--yes", "-y", help="Remove it without asking.")]
Fields = Annotated[
    list[str] | None,
    typer.Option(
        "--field",
        metavar="COLUMN=FIELD",
        help="A column (or attribute in mParticle) to send to Iterable as a data field. COLUMN alone keeps its name.",
        show_default="those of the mapping",
    ),
]
NewFields = Annotated[
    list[str] | None,
    typer.Option("--field", metavar="COLUMN=FIELD", help="A column to send to Iterable as a data field."),
]
NoFields = Annotated[bool, typer.Option("--no-fields", help="Send no data fields from now on.")]
AllowEmpty = Annotated[bool, typer.Option("--allow-empty", help="Let an empty audience empty the list.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output, and nothing else.")]
MappingId = Annotated[int, typer.Argument(metavar="MAPPING", callback=_id, help="The id of a mapping.")]
RunId = Annotated[str, typer.Argument(metavar="RUN", help="The id of a run.")]


def addition_limits(number: int | None, percent: float | None) -> "AdditionLimits":
    """Return the limits of additions of --max-add and --max-add-percent."""
    from core.store.mappings import AdditionLimits

    return AdditionLimits(number, share_of(percent))


def share_of(percent: float | None) -> float | None:
    """Return a percentage as a share."""
    return None if percent is None else percent / 100


def chosen_fields(fields: list[str] | None, *, no_fields: bool) -> dict[str, str] | None:
    """Return the data fields of --field and --no-fields: {} for none, None if neither was given.

    Raises InputError if both were, or if a field can't be sent.
    """
    from core.models.data_fields import parse_fields

    if no_fields and fields:
        raise InputError("--field and --no-fields contradict each other. Leave one out.")
    return {} if no_fields else parse_fields(fields) if fields else None
