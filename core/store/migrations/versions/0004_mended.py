"""Previous keys of a connection, bulk removals, waiting times of runs, suppressions."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

Id = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Add the columns and the table."""
    op.add_column("connections", sa.Column("former_keys", sa.Text(), nullable=False, server_default="[]"))
    op.add_column("mappings", sa.Column("emptied_to", sa.Text()))
    op.add_column("runs", sa.Column("waited_s", sa.Float(), nullable=False, server_default="0"))
    op.create_table(
        "barred",
        sa.Column("connection_id", Id, nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["connection_id"], ["connections.id"], name=op.f("barred_connection_id_fk"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("connection_id", "digest", name=op.f("barred_pk")),
        sqlite_with_rowid=False,
    )
