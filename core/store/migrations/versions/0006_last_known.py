"""The last known emails of leavers."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

Id = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "last_known",
        sa.Column("mapping_id", Id, nullable=False),
        sa.Column("profile", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(
            ["mapping_id"], ["mappings.id"], name=op.f("last_known_mapping_id_fk"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("mapping_id", "profile", name=op.f("last_known_pk")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("last_known_at_ix"), "last_known", ["at"])
