"""Rare rows are found by indexes of these alone, and what deleted runs counted is kept.

Each of these was found by reading all runs, all lists or all mappings, every few seconds. The metrics counted backwards
when runs were deleted.
"""

import sqlalchemy as sa
from alembic import op

revision = "0042"
down_revision = "0041"
branch_labels = None
depends_on = None

_INDEXES = (
    ("runs_frozen_ix", "runs", "mapping_id", "phase = 'frozen'"),
    ("runs_undo_of_ix", "runs", "undo_of", "undo_of IS NOT NULL"),
    ("lists_held_by_worker_ix", "lists", "held_by_worker", "held_by_worker IS NOT NULL"),
)


def upgrade() -> None:
    """Create the indexes and the table."""
    for name, table, column, condition in _INDEXES:
        where = sa.text(condition)
        op.create_index(op.f(name), table, [column], sqlite_where=where, postgresql_where=where)
    # as queries say it: SQLite compares conditions word by word
    op.create_index(
        op.f("mappings_live_ix"), "mappings", ["id"], sqlite_where=sa.text("live = 1"), postgresql_where=sa.text("live")
    )
    op.create_table(
        "deleted_runs",
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("number", sa.BigInteger(), nullable=False),
    )
