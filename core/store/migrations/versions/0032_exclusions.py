"""Mappings have exclusions, and the settings before a change that is not approved yet."""

import sqlalchemy as sa
from alembic import op

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns. No one is excluded, and no change waits."""
    op.add_column("mappings", sa.Column("exclusions", sa.Text(), nullable=False, server_default="[]"))
    op.add_column("mappings", sa.Column("change_before", sa.Text()))
