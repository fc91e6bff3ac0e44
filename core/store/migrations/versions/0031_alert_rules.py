"""Alert rules, and when an alert may be shown."""

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Create the table, and add the column."""
    op.add_column("alerts", sa.Column("show_at", sa.Float(), nullable=False, server_default="0"))
    op.create_table(
        "alert_rules",
        sa.Column("id", _ID, nullable=False),
        sa.Column("connection_id", _ID, nullable=False),
        sa.Column("mapping_id", _ID),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("is_on", sa.Boolean(), nullable=False),
        sa.Column("threshold", sa.Float()),
        sa.Column("changed_by", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="alert_rules_pk"),
        sa.ForeignKeyConstraint(
            ["connection_id"], ["connections.id"], ondelete="CASCADE", name=op.f("alert_rules_connection_id_fk")
        ),
        sa.ForeignKeyConstraint(
            ["mapping_id"], ["mappings.id"], ondelete="CASCADE", name=op.f("alert_rules_mapping_id_fk")
        ),
    )
    op.create_index(op.f("alert_rules_connection_id_mapping_id_ix"), "alert_rules", ["connection_id", "mapping_id"])
    op.create_index(op.f("alert_rules_mapping_id_ix"), "alert_rules", ["mapping_id"])
