"""Shape 2, the bucket delta: who joined and who left, as mParticle writes it to Google Cloud Storage.

Format as in mParticle's documentation of that integration.
"""

import duckdb

from core.audience import jsonfile
from core.audience.files import File
from core.audience.gather import read_rows
from core.audience.names import from_bucket_name
from core.audience.source import Shape, Source
from core.audience.sql import milliseconds_of_text
from core.audience.stage import Rows

_COLUMNS = {
    "IsAddRequest": "BOOLEAN",
    "IdentityValues": "STRUCT(customer_id VARCHAR, email VARCHAR, mpid VARCHAR)",
    "MembershipChangedTimestamp": "VARCHAR",
}


def read_bucket(con: duckdb.DuckDBPyConnection, file: File, wanted: str | None) -> Source:
    """Read a file from the bucket; its name tells the audience."""
    return read_rows(con, Shape.BUCKET, _rows(file), wanted, from_bucket_name(file.name))


def is_validation(file_name: str) -> bool:
    """Whether a file is the empty one that mParticle writes when the connection is saved."""
    return file_name.lower().startswith("mparticle-validation-")


def _rows(file: File) -> Rows:
    stamp = milliseconds_of_text("MembershipChangedTimestamp")
    return jsonfile.rows(
        "SELECT NULL::VARCHAR AS label, NULL::VARCHAR AS name, nullif(trim(IdentityValues.mpid), '') AS mpid, "
        "IsAddRequest AS member, IdentityValues.email AS email, IdentityValues.customer_id AS customer_id, "
        f"{stamp} AS stamp, MembershipChangedTimestamp <> '' AND {stamp} IS NULL AS unreadable "
        f"FROM {jsonfile.scan(file, _COLUMNS)}",
        file,
    )
