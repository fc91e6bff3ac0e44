"""Connections know the type of their Iterable project; runs and mappings keep the one for which they were planned.

Until now every project was taken for an email-based one.
"""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

_SYNCED = """
UPDATE mappings SET project_type = 'email'
WHERE EXISTS (SELECT 1 FROM ledger WHERE ledger.mapping_id = mappings.id)
"""


def upgrade() -> None:
    """Add the columns. Of connections that are there, nothing is known until Iterable is asked."""
    for table in ("connections", "runs", "mappings"):
        op.add_column(table, sa.Column("project_type", sa.Text()))
    op.execute(_SYNCED)
