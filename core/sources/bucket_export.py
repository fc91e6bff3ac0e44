"""Shape 2, the bucket delta: additions and removals that mParticle writes to Google Cloud Storage.

The format follows mParticle's documentation of the integration.
"""

from core.sources import json_format
from core.sources.source_file import SourceFile
from core.sources.sql_expressions import milliseconds_of_text
from core.sources.staged_rows import StagedRows

_COLUMNS = {
    "IsAddRequest": "BOOLEAN",
    "IdentityValues": "STRUCT(customer_id VARCHAR, email VARCHAR, mpid VARCHAR)",
    "MembershipChangedTimestamp": "VARCHAR",
}


def is_validation(file_name: str) -> bool:
    """Return whether a file is the empty one that mParticle writes when a person saves the connection."""
    return file_name.lower().startswith("mparticle-validation-")


def bucket_rows(file: SourceFile) -> StagedRows:
    """Return the query for the rows of a file from the bucket."""
    stamp = milliseconds_of_text("MembershipChangedTimestamp")
    return json_format.rows(
        "SELECT NULL::VARCHAR AS label, NULL::VARCHAR AS name, nullif(trim(IdentityValues.mpid), '') AS mpid, "
        "IsAddRequest AS member, IdentityValues.email AS email, IdentityValues.customer_id AS customer_id, "
        f"{stamp} AS stamp, MembershipChangedTimestamp <> '' AND {stamp} IS NULL AS unreadable "
        f"FROM {json_format.scan(file, _COLUMNS)}",
        file,
    )
