"""The days of live mappings know when the size of their list was read."""

import sqlalchemy as sa
from alembic import op

revision = "0038"
down_revision = "0037"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column. No size was read yet."""
    op.add_column("live_days", sa.Column("size_read_at", sa.Float()))
