"""Freezes, and the campaigns that go to a list."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

# SQLite assigns row ids only to a column declared INTEGER.
_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Add the tables and the columns."""
    op.create_table(
        "freezes",
        sa.Column("id", _ID, nullable=False),
        sa.Column("mapping_id", _ID),
        sa.Column("team_id", sa.Text()),
        sa.Column("holds", sa.Text(), nullable=False),
        sa.Column("until", sa.Float(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(
            ["mapping_id"], ["mappings.id"], name=op.f("freezes_mapping_id_fk"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("freezes_pk")),
    )
    op.create_index(op.f("freezes_mapping_id_ix"), "freezes", ["mapping_id"])
    op.create_table(
        "list_campaigns",
        sa.Column("connection_id", _ID, nullable=False),
        sa.Column("list_id", sa.BigInteger(), nullable=False),
        sa.Column("campaign_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("is_suppression", sa.Boolean(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("start_at", sa.Float()),
        sa.ForeignKeyConstraint(
            ["connection_id"], ["connections.id"], name=op.f("list_campaigns_connection_id_fk"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("connection_id", "list_id", "campaign_id", name=op.f("list_campaigns_pk")),
    )
    op.add_column("connections", sa.Column("campaigns_due_at", sa.Float(), nullable=False, server_default="0"))
    op.add_column("mappings", sa.Column("freeze_before_s", sa.Float()))
    op.add_column("mappings", sa.Column("freeze_holds", sa.Text(), nullable=False, server_default="both"))
