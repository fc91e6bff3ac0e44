"""Addresses of audiences lose what could be a secret, if their run has ended for good.

A presigned link is a key to a file for as long as it lasts. New runs store such an address encrypted. A migration has
no key to encrypt with, so it removes the query, user name, password and fragment of earlier runs' addresses. Runs that
may still read their audience keep them.
"""

import json
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_ENDED = ("succeeded", "cancelled", "planned", "expired")
_CHUNK = 500


def upgrade() -> None:
    """Rewrite the requests, a chunk of runs at a time."""
    connection = op.get_bind()
    table = sa.table("runs", sa.column("id", sa.Text), sa.column("status", sa.Text), sa.column("request", sa.Text))
    ids_and_requests = sa.select(table.c.id, table.c.request)
    ended = ids_and_requests.where(table.c.status.in_(_ENDED), table.c.request.like("%://%"))
    last = ""
    while rows := connection.execute(ended.where(table.c.id > last).order_by(table.c.id).limit(_CHUNK)).all():
        for run_id, request in rows:
            stripped = _strip_secrets(json.loads(request))
            if stripped != json.loads(request):
                connection.execute(table.update().where(table.c.id == run_id).values(request=json.dumps(stripped)))
        last = rows[-1].id


def _strip_secrets(request: dict[str, Any]) -> dict[str, Any]:
    """Return the request without secrets in its address. (Before this version a run had one address.)"""
    return {**request, "path": _strip_address(request["path"])}


def _strip_address(address: str) -> str:
    if "://" not in address:
        return address
    parts = urlsplit(address)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
