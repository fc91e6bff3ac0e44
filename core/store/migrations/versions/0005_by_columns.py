"""Store a batch of changes once, by columns: requests are built from its members."""

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# Batches rewritten at once: some 20 MB.
PIECE = 200

_changes = sa.table("changes", sa.column("batch_id", sa.BigInteger()), sa.column("members", sa.Text()))


def upgrade() -> None:
    """Drop the second copy, and rewrite the stored batches."""
    op.drop_column("changes", "subscribers")
    connection = op.get_bind()
    some = sa.select(_changes.c.batch_id, _changes.c.members).order_by(_changes.c.batch_id).limit(PIECE)
    store = (
        sa.update(_changes)
        .where(_changes.c.batch_id == sa.bindparam("batch"))
        .values(members=sa.bindparam("by_columns"))
    )
    after = -1
    while rows := connection.execute(some.where(_changes.c.batch_id > after)).fetchall():
        after = rows[-1].batch_id
        connection.execute(store, [{"batch": i, "by_columns": _by_columns(json.loads(members))} for i, members in rows])


def _by_columns(entries: list[list[Any]]) -> str:
    columns: dict[str, Any] = {
        "role": "".join(entry[0] for entry in entries),
        "profile": [entry[1] for entry in entries],
        "email": [entry[2] for entry in entries],
        "user_id": [entry[3] for entry in entries],
    }
    if any(len(entry) > 4 for entry in entries):
        columns["more"] = [entry[4:] for entry in entries]
    return json.dumps(columns, ensure_ascii=False, separators=(",", ":"))
