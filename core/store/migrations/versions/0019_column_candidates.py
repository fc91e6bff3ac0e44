"""A run that failed because several columns could be an identity keeps their names, so that a person can choose."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("runs", sa.Column("column_candidates", sa.Text))
