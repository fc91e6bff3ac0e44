"""When a change of a live audience came last, and how long the silences of a day were."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns."""
    op.add_column("live_days", sa.Column("last_received_at", sa.Float()))
    op.add_column("live_days", sa.Column("longest_silence_s", sa.Float()))
