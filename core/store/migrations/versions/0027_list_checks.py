"""Comparisons of lists in Iterable with the ledger."""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

# SQLite assigns row ids only to a column declared INTEGER.
_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "list_checks",
        sa.Column("connection_id", _ID, nullable=False),
        sa.Column("list_id", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.Float(), nullable=False),
        sa.Column("checked_at", sa.Float()),
        sa.Column("matched_at", sa.Float()),
        sa.Column("ours", sa.BigInteger()),
        sa.Column("in_iterable", sa.BigInteger()),
        sa.Column("in_mparticle", sa.BigInteger()),
        sa.Column("missing", sa.BigInteger()),
        sa.Column("extra", sa.BigInteger()),
        sa.Column("sampled", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("others", sa.BigInteger(), nullable=False, server_default="0"),
        sa.ForeignKeyConstraint(
            ["connection_id"], ["connections.id"], name=op.f("list_checks_connection_id_fk"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("connection_id", "list_id", name=op.f("list_checks_pk")),
    )
    op.create_index(op.f("list_checks_due_at_ix"), "list_checks", ["due_at"])
