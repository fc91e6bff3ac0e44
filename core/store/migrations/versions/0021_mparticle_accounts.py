"""Connections may have access to mParticle's platform API, to offer audiences by name."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "mparticle_accounts",
        sa.Column("connection_id", _ID, nullable=False),
        sa.Column("pod", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("client_secret", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("refused_at", sa.Float()),
        sa.ForeignKeyConstraint(
            ["connection_id"], ["connections.id"], "mparticle_accounts_connection_id_fk", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("connection_id", name="mparticle_accounts_pk"),
    )
