"""Batches of processes that were declared dead are in doubt for a while."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns, and an index of the few batches that are in doubt."""
    op.add_column("batches", sa.Column("doubted_of", sa.Text()))
    op.add_column("batches", sa.Column("doubted_until", sa.Float()))
    is_doubted = sa.text("doubted_until IS NOT NULL")
    op.create_index(
        op.f("batches_doubted_until_ix"),
        "batches",
        ["doubted_until"],
        sqlite_where=is_doubted,
        postgresql_where=is_doubted,
    )
