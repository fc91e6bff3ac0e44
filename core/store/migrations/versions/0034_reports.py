"""Connections get weekly and daily reports."""

import sqlalchemy as sa
from alembic import op

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Create the tables. No connection gets reports."""
    op.create_table(
        "report_settings",
        sa.Column("connection_id", _ID, nullable=False),
        sa.Column("time_zone", sa.Text(), nullable=False),
        sa.Column("weekly", sa.Boolean(), nullable=False),
        sa.Column("weekday", sa.Integer(), nullable=False),
        sa.Column("daily", sa.Boolean(), nullable=False),
        sa.Column("at", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text()),
        sa.Column("next_weekly_at", sa.Float()),
        sa.Column("next_daily_at", sa.Float()),
        sa.PrimaryKeyConstraint("connection_id", name="report_settings_pk"),
        sa.ForeignKeyConstraint(
            ["connection_id"], ["connections.id"], ondelete="CASCADE", name=op.f("report_settings_connection_id_fk")
        ),
    )
    op.create_table(
        "reports",
        sa.Column("id", _ID, nullable=False),
        sa.Column("connection_id", _ID, nullable=False),
        sa.Column("made_at", sa.Float(), nullable=False),
        sa.Column("channel", sa.Text()),
        sa.Column("content", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="reports_pk"),
        sa.ForeignKeyConstraint(
            ["connection_id"], ["connections.id"], ondelete="CASCADE", name=op.f("reports_connection_id_fk")
        ),
    )
    op.create_index(op.f("reports_connection_id_ix"), "reports", ["connection_id"])
    op.create_index(op.f("reports_made_at_ix"), "reports", ["made_at"])
