"""Shape 3, the stream delta: additions and removals of several audiences, which mParticle sends to Amazon Kinesis.

The format follows mParticle's documentation of the integration, which capitalizes the identities.
"""

from core.sources import json_format
from core.sources.source_file import SourceFile
from core.sources.sql_expressions import milliseconds_of_text
from core.sources.staged_rows import StagedRows

_COLUMNS = {
    "MembershipChangedTimestamp": "VARCHAR",
    "AudienceId": "VARCHAR",
    "AudienceName": "VARCHAR",
    "IsMember": "BOOLEAN",
    "UserIdentities": "JSON",
}


def stream_rows(file: SourceFile) -> StagedRows:
    """Return the query for the rows of a file from the stream, of one audience or several."""
    stamp = milliseconds_of_text("MembershipChangedTimestamp")
    mpid = f"coalesce({', '.join(_identity(name) for name in ('MPID', 'Mpid', 'mpid'))})"
    return json_format.rows(
        f"SELECT coalesce(AudienceId, AudienceName) AS label, AudienceName AS name, nullif(trim({mpid}), '') AS mpid, "
        f"IsMember AS member, {_identity('Email')} AS email, {_identity('CustomerId')} AS customer_id, "
        f"{stamp} AS stamp, MembershipChangedTimestamp <> '' AND {stamp} IS NULL AS unreadable "
        f"FROM {json_format.scan(file, _COLUMNS)}",
        file,
    )


def _identity(name: str) -> str:
    return f"(UserIdentities ->> '$.{name}')"
