"""Why a run was cancelled and which run it waits for, in columns of their own."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns, and fill them from the error texts of existing runs."""
    op.add_column("runs", sa.Column("waiting_for_run_id", sa.Text()))
    op.add_column("runs", sa.Column("cancel_reason", sa.Text()))
    # the sentence begins with "Run " and an id of ten characters
    op.execute(
        "UPDATE runs SET waiting_for_run_id = substr(error, 5, 10) "
        "WHERE error_code IN ('earlier_run_waits', 'earlier_run_failed')"
    )
    op.execute("UPDATE runs SET cancel_reason = 'declined' WHERE status = 'cancelled' AND error = 'Declined.'")
    op.execute(
        "UPDATE runs SET cancel_reason = "
        "CASE WHEN error LIKE '%, which undoes it.' THEN 'undone' ELSE 'superseded' END "
        "WHERE status = 'cancelled' AND error LIKE 'Replaced by run %'"
    )
