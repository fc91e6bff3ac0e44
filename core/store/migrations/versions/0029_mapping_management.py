"""Mappings have a name, a limit of removals, and a time at which they are deleted."""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns. They are empty."""
    op.add_column("mappings", sa.Column("max_removed_share", sa.Float()))
    op.add_column("mappings", sa.Column("name", sa.Text()))
    op.add_column("mappings", sa.Column("delete_at", sa.Float()))
