"""The newest runs, the runs of a mapping, and the runs whose details expire are found by indexes."""

import time

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

# As in core/privacy/retention.py and core/models/run.py: how long details are kept, and the states of final runs.
_RETENTION_S = 30 * 24 * 3600.0
_FINAL = ("planned", "succeeded", "cancelled", "expired")


def upgrade() -> None:
    """Add the indexes, and the column that says which runs have no details any longer."""
    op.add_column("runs", sa.Column("purged", sa.Boolean(), nullable=False, server_default=sa.false()))
    runs = sa.table(
        "runs", sa.column("id"), sa.column("status"), sa.column("finished_at"), sa.column("purged", sa.Boolean)
    )
    batches, rejections = (sa.table(name, sa.column("run_id")) for name in ("batches", "rejections"))
    op.get_bind().execute(
        runs.update()
        .where(
            runs.c.status.in_(_FINAL),
            runs.c.finished_at < time.time() - _RETENTION_S,
            ~sa.select(batches.c.run_id).where(batches.c.run_id == runs.c.id).exists(),
            ~sa.select(rejections.c.run_id).where(rejections.c.run_id == runs.c.id).exists(),
        )
        .values(purged=True)
    )
    op.create_index(op.f("runs_created_at_ix"), "runs", ["created_at"])
    op.create_index(op.f("runs_mapping_id_created_at_ix"), "runs", ["mapping_id", "created_at"])
    op.create_index(
        op.f("runs_finished_at_ix"),
        "runs",
        ["finished_at"],
        sqlite_where=sa.text("purged = 0"),
        postgresql_where=sa.text("NOT purged"),
    )
