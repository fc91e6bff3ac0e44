"""A configuration file manages connections, mappings, schedules and routes."""

import sqlalchemy as sa
from alembic import op

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns. No file manages anything yet."""
    for table in ("connections", "mappings", "schedules", "routes"):
        op.add_column(table, sa.Column("managed", sa.Text()))
