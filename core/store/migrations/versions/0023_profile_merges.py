"""A connection may merge profiles, and a run counts those that it merged."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns. Merging is off."""
    op.add_column("connections", sa.Column("merge_profiles", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("runs", sa.Column("merged", sa.BigInteger(), nullable=False, server_default="0"))
