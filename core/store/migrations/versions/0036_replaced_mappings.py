"""A mapping to another list knows the mapping whose place it takes."""

import sqlalchemy as sa
from alembic import op

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column. No mapping takes the place of another."""
    op.add_column("mappings", sa.Column("replaces", sa.BigInteger()))
