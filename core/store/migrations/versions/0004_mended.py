"""Former keys of a connection, members that are being taken off, and how long a run has waited."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns."""
    op.add_column("connections", sa.Column("former_keys", sa.Text(), nullable=False, server_default="[]"))
    op.add_column("mappings", sa.Column("emptied_to", sa.Text()))
    op.add_column("runs", sa.Column("waited_s", sa.Float(), nullable=False, server_default="0"))
