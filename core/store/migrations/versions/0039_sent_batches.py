"""The batches whose requests have no answer yet are found without a look at all batches of a list."""

import sqlalchemy as sa
from alembic import op

revision = "0039"
down_revision = "0038"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the index. Only batches in flight are in it."""
    is_sent = sa.text("state = 'sent'")
    op.create_index(op.f("batches_sent_ix"), "batches", ["run_id"], sqlite_where=is_sent, postgresql_where=is_sent)
