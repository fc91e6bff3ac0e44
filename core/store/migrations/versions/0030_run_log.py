"""The run log: where ended runs are written, which runs are due, and when the outcome of a batch was recorded."""

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table, and add the columns."""
    op.add_column("runs", sa.Column("log_due", sa.Boolean(), nullable=False, server_default=sa.false()))
    is_due = sa.text("log_due")
    op.create_index(op.f("runs_log_due_ix"), "runs", ["log_due"], sqlite_where=is_due, postgresql_where=is_due)
    op.add_column("batches", sa.Column("done_at", sa.Float()))
    op.create_table(
        "run_log",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("identifiers", sa.Text(), nullable=False),
        sa.Column("set_by", sa.Text(), nullable=False),
        sa.Column("set_at", sa.Float(), nullable=False),
        sa.Column("next_at", sa.Float(), nullable=False),
        sa.Column("written_at", sa.Float()),
        sa.Column("failures", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("failing_since", sa.Float()),
        sa.Column("error", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="run_log_pk"),
    )
