"""Slack: permissions, the audit log, approvals, messages that follow runs, alerts."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

Id = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Add the columns and tables."""
    op.add_column("connections", sa.Column("team_id", sa.Text()))
    op.add_column("connections", sa.Column("alert_channel", sa.Text()))
    op.add_column("connections", sa.Column("operators", sa.Text(), nullable=False, server_default="[]"))
    op.add_column("connections", sa.Column("approvers", sa.Text(), nullable=False, server_default="[]"))
    op.add_column("connections", sa.Column("self_approval", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("mappings", sa.Column("state", sa.Text(), nullable=False, server_default="active"))
    op.add_column("mappings", sa.Column("removals", sa.Text(), nullable=False, server_default="remove"))
    op.add_column("mappings", sa.Column("channel", sa.Text()))
    op.add_column("mappings", sa.Column("proposed_by", sa.Text()))
    op.add_column("mappings", sa.Column("decided_by", sa.Text()))
    op.add_column("mappings", sa.Column("decided_at", sa.Float()))
    op.add_column("mappings", sa.Column("comment", sa.Text()))
    op.add_column("runs", sa.Column("started_by", sa.Text()))
    op.add_column("runs", sa.Column("channel", sa.Text()))
    op.add_column("runs", sa.Column("decided_by", sa.Text()))
    op.add_column("runs", sa.Column("decided_at", sa.Float()))
    op.add_column("runs", sa.Column("comment", sa.Text()))
    op.add_column("runs", sa.Column("undo_of", sa.Text()))
    op.add_column("runs", sa.Column("list_size", sa.BigInteger()))
    op.create_table(
        "posts",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("team_id", sa.Text()),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text()),
        sa.Column("ts", sa.Text()),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("next_at", sa.Float(), nullable=False, server_default="0"),
        sa.Column("updated_at", sa.Float(), nullable=False),
        sa.Column("error", sa.Text()),
        sa.PrimaryKeyConstraint("key", name=op.f("posts_pk")),
    )
    op.create_table(
        "alerts",
        sa.Column("id", Id, nullable=False),
        sa.Column("connection_id", Id, nullable=False),
        sa.Column("mapping_id", Id),
        sa.Column("run_id", sa.Text()),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("repeats", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("opened_at", sa.Float(), nullable=False),
        sa.Column("closed_at", sa.Float()),
        sa.Column("outcome", sa.Text()),
        sa.Column("taken_by", sa.Text()),
        sa.Column("muted_until", sa.Float()),
        sa.ForeignKeyConstraint(
            ["connection_id"], ["connections.id"], name=op.f("alerts_connection_id_fk"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["mapping_id"], ["mappings.id"], name=op.f("alerts_mapping_id_fk"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("alerts_pk")),
    )
    op.create_index(op.f("alerts_connection_id_mapping_id_ix"), "alerts", ["connection_id", "mapping_id"])
    op.create_table(
        "audit",
        sa.Column("id", Id, nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("team_id", sa.Text()),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("before", sa.Text()),
        sa.Column("after", sa.Text()),
        sa.PrimaryKeyConstraint("id", name=op.f("audit_pk")),
    )
    op.create_index(op.f("audit_subject_ix"), "audit", ["subject"])
    op.create_table(
        "leases",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("worker", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("leases_pk")),
    )
