"""The changes that a run has claimed are found with an index of these only.

An index of all changes had an entry for each one that no run carries, so claiming a change and marking it as delivered
each changed two entries.
"""

import sqlalchemy as sa
from alembic import op

revision = "0040"
down_revision = "0039"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the index again."""
    is_claimed = sa.text("run_id IS NOT NULL")
    op.drop_index(op.f("inbox_run_id_ix"), "inbox")
    op.create_index(op.f("inbox_run_id_ix"), "inbox", ["run_id"], sqlite_where=is_claimed, postgresql_where=is_claimed)
