"""Shape 2, the bucket delta: who joined and who left, as mParticle writes it to Google Cloud Storage.

Format as in mParticle's documentation of that integration.
"""

import duckdb

from core.sources import json_format
from core.sources.audience_ref import from_bucket_name
from core.sources.grouping import read_rows
from core.sources.source import Source, SourceFormat
from core.sources.source_file import SourceFile
from core.sources.sql_expressions import milliseconds_of_text
from core.sources.staging import StagedRows

_COLUMNS = {
    "IsAddRequest": "BOOLEAN",
    "IdentityValues": "STRUCT(customer_id VARCHAR, email VARCHAR, mpid VARCHAR)",
    "MembershipChangedTimestamp": "VARCHAR",
}


def read_bucket(con: duckdb.DuckDBPyConnection, file: SourceFile, wanted: str | None) -> Source:
    """Read a file from the bucket; its name tells the audience."""
    return read_rows(con, SourceFormat.BUCKET, _rows(file), wanted, from_bucket_name(file.name))


def is_validation(file_name: str) -> bool:
    """Whether a file is the empty one that mParticle writes when the connection is saved."""
    return file_name.lower().startswith("mparticle-validation-")


def _rows(file: SourceFile) -> StagedRows:
    stamp = milliseconds_of_text("MembershipChangedTimestamp")
    return json_format.rows(
        "SELECT NULL::VARCHAR AS label, NULL::VARCHAR AS name, nullif(trim(IdentityValues.mpid), '') AS mpid, "
        "IsAddRequest AS member, IdentityValues.email AS email, IdentityValues.customer_id AS customer_id, "
        f"{stamp} AS stamp, MembershipChangedTimestamp <> '' AND {stamp} IS NULL AS unreadable "
        f"FROM {json_format.scan(file, _COLUMNS)}",
        file,
    )
