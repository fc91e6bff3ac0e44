"""The rows of a file as SQL, as each reader returns them, and their counts.

The rows are a SELECT in the order of the file. In every format it has the columns

    label        what the rows are counted by: an audience, or a type of identity
    name         the name of the audience, if the rows have it
    mpid         text, NULL if there is none
    member       whether the row says that the profile is in the audience
    email, customer_id
    stamp        when, in milliseconds since 1970, or NULL
    unreadable   there is a time stamp, but none that can be read

or, if a row contains one identity (`is_long`), with `label`, `mpid`, `stamp` and

    value        the identity
    kind         one of KINDS, and OTHER for those that are not used
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from core.sources.audience_ref import AudienceRef
from core.sources.source import Source, SourceFormat, instant
from core.sources.source_file import SourceFile

# In bytes. An address has 254 letters at most, and mParticle cuts off values at 4,096.
LONGEST_IDENTITY = 4_096

#: What kind of identity the row of a long file holds, by how its type is spelled (but for accidents).
KINDS = {"email": 1, "customer_id": 2, "customer": 3, "customerid": 4}
OTHER, EMAIL = 0, 1

#: The columns of a row that holds one identity, as those of other rows.
BY_KIND = (
    f"true AS member, CASE WHEN kind = {EMAIL} THEN value END AS email, "
    f"CASE WHEN kind > {EMAIL} THEN value END AS customer_id"
)


@dataclass(frozen=True)
class StagedRows:
    """The rows of a file: of one audience, or of several."""

    sql: str
    file: SourceFile
    #: The line in the file of the n-th row; None if a file has no lines.
    line: Callable[[int], int | None] | None
    #: The rows tell who joined and who left, and a profile's identities are those of its latest row; otherwise
    #: all are members, and the latest of each kind of identity counts.
    is_delta: bool = False
    #: A row holds one identity, and a profile has several rows; otherwise most profiles have one row.
    is_long: bool = False
    #: What the column of the customer ids is called in the file, where it has a name.
    customer_id_column: str | None = None
    #: The same without rows in which no cell of any column holds anything, if the file may have such rows. It costs
    #: more, because all columns are read.
    sql_without_empty_rows: str | None = None
    #: How many columns the rows have in addition, f0, f1, ...: values of data fields (core/sources/field_columns.py).
    field_count: int = 0
    #: The names of the columns that are not used as an identity, in a table.
    other_columns: tuple[str, ...] = ()
    #: What a person should know of how the file was read, a sentence each.
    notes: tuple[str, ...] = ()

    @property
    def wide(self) -> str:
        """The rows with the columns that those of all files can have.

        A row that holds one identity has to say whose it is: there, no mpid is as bad as one that is no number.
        """
        return (
            "SELECT * REPLACE (coalesce(mpid, 'missing') AS mpid), NULL::VARCHAR AS name, false AS unreadable, "
            f"{BY_KIND} FROM ({self.sql})"
            if self.is_long
            else self.sql
        )


@dataclass(frozen=True)
class LabelCount:
    """What is known of the rows of one label."""

    label: str | None
    name: str | None
    rows: int
    with_mpid: int
    oldest: int | None
    newest: int | None
    #: Every RowFlag that some row has.
    flags: int = 0
    #: The rows that were removed because they are totals or lines.
    summaries: int = 0

    def __add__(self, other: "LabelCount") -> "LabelCount":
        """The rows of the same label in two files."""
        stamps = [stamp for count in (self, other) for stamp in (count.oldest, count.newest) if stamp is not None]
        return LabelCount(
            label=self.label,
            name=self.name or other.name,
            rows=self.rows + other.rows,
            with_mpid=self.with_mpid + other.with_mpid,
            oldest=min(stamps, default=None),
            newest=max(stamps, default=None),
            flags=self.flags | other.flags,
            summaries=self.summaries + other.summaries,
        )


def described(
    shape: SourceFormat,
    rows: StagedRows,
    count: LabelCount,
    audience: AudienceRef,
    *,
    people: int,
    sharing: int = 0,
    notes: Sequence[str] = (),
) -> Source:
    """Return the description of an audience whose rows were counted.

    `people` is the number of people in the rows, and `sharing` of those who have another member's customer id. `notes`
    are those on the rows.
    """
    return Source(
        shape=shape,
        is_snapshot=not rows.is_delta,
        audience_id=audience.id,
        audience_name=audience.name,
        file_name=rows.file.given,
        rows=count.rows,
        has_mpid=count.with_mpid > 0,
        as_of=instant(count.newest),
        oldest=instant(count.oldest),
        merged_rows=count.rows - people,
        shared_customer_ids=sharing,
        customer_id_column=rows.customer_id_column,
        other_columns=rows.other_columns,
        has_fields=rows.field_count > 0,
        notes=(*rows.notes, *notes),
    )


def audience_of(count: LabelCount) -> AudienceRef:
    """Return the audience of a label. The label is an id, or a name if the rows have no ids."""
    return AudienceRef(None if count.label == count.name else count.label, count.name)
