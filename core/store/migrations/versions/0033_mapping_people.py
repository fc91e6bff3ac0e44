"""Mappings have operators and approvers of their own."""

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns. The operators and approvers of the connection count."""
    for name in ("operators", "approvers"):
        op.add_column("mappings", sa.Column(name, sa.Text(), nullable=False, server_default="[]"))
