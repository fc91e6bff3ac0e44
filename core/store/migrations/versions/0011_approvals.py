"""Approvals of plans instead of runs, limits of additions, and offers to feed a mapping live."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns. Pending approvals have to be reviewed again."""
    for name in ("plan_digest", "approved_digest", "shown_digest", "discarded_plan", "source_digest"):
        op.add_column("runs", sa.Column(name, sa.Text()))
    op.add_column("runs", sa.Column("source_at", sa.Float()))
    op.add_column("mappings", sa.Column("max_added", sa.BigInteger()))
    op.add_column("mappings", sa.Column("max_added_share", sa.Float()))
    op.add_column("mappings", sa.Column("live_offer", sa.Text()))
    # an earlier plan has no digest of its source: use the run's id
    op.execute("UPDATE runs SET plan_digest = 'before-' || id WHERE plan IS NOT NULL AND status = 'needs_approval'")
