"""Mappings send data fields. The values are stored, encrypted, only until they are sent; the ledger keeps a digest."""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

_Id = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Add the columns and the table."""
    op.add_column("mappings", sa.Column("fields", sa.Text, nullable=False, server_default="{}"))
    op.add_column("mappings", sa.Column("fields_before", sa.Text))
    op.add_column("ledger", sa.Column("fields", sa.Text))
    op.add_column("inbox", sa.Column("fields", sa.Text))
    op.create_table(
        "change_fields",
        sa.Column(
            "batch_id",
            _Id,
            sa.ForeignKey("batches.id", ondelete="CASCADE", name="change_fields_batch_id_fk"),
            primary_key=True,
        ),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("batch_id", name="change_fields_pk"),
    )
