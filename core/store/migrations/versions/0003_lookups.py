"""Members of the ledger are found by their email: for small changes to large lists, and to explain a person."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the index."""
    op.create_index(op.f("ledger_email_ix"), "ledger", ["email"])
