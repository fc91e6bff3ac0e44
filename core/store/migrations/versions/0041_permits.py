"""Each permit of a rate limit has the time of its last use.

A project had the time of its next request only, so a late request delayed all others, and lost time stayed lost.
"""

import sqlalchemy as sa
from alembic import op

revision = "0041"
down_revision = "0040"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column. No permit was used yet: the next request leaves when it would have left before."""
    op.add_column("pace", sa.Column("used_at", sa.Text()))
