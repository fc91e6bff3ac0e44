"""Live audiences: the inbox, message ids, daily counters, erasures."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

Id = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Add the columns and tables."""
    op.add_column("connections", sa.Column("mparticle_account", sa.Text()))
    op.add_column("connections", sa.Column("mparticle_settings", sa.Text()))
    op.add_column("mappings", sa.Column("live", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("mappings", sa.Column("account_id", sa.Text()))
    op.add_column("mappings", sa.Column("live_list", sa.Text()))
    op.add_column("mappings", sa.Column("disconnected_at", sa.Float()))
    op.add_column("mappings", sa.Column("removals_until", sa.Float()))
    op.create_index(
        op.f("mappings_account_id_audience_id_live_list_ix"),
        "mappings",
        ["account_id", "audience_id", "live_list"],
        unique=True,
    )
    op.add_column("runs", sa.Column("live", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_index(op.f("runs_live_ix"), "runs", ["live"])
    op.create_table(
        "inbox",
        sa.Column("mapping_id", Id, nullable=False),
        sa.Column("profile", sa.Text(), nullable=False),
        sa.Column("member", sa.Boolean(), nullable=False),
        sa.Column("stamp", sa.BigInteger(), nullable=False),
        sa.Column("email", sa.Text()),
        sa.Column("customer_id", sa.Text()),
        sa.Column("hashed", sa.Integer(), nullable=False),
        sa.Column("waiting_since", sa.Float()),
        sa.Column("run_id", sa.Text()),
        sa.ForeignKeyConstraint(["mapping_id"], ["mappings.id"], name=op.f("inbox_mapping_id_fk"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("mapping_id", "profile", name=op.f("inbox_pk")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("inbox_mapping_id_waiting_since_stamp_ix"), "inbox", ["mapping_id", "waiting_since", "stamp"])
    op.create_index(op.f("inbox_run_id_ix"), "inbox", ["run_id"])
    op.create_table(
        "messages",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("messages_pk")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("messages_at_ix"), "messages", ["at"])
    op.create_table(
        "live_days",
        sa.Column("mapping_id", Id, nullable=False),
        sa.Column("day", sa.Text(), nullable=False),
        sa.Column("changes", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("ignored", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("last_accepted_at", sa.Float()),
        sa.Column("run_id", sa.Text()),
        sa.ForeignKeyConstraint(
            ["mapping_id"], ["mappings.id"], name=op.f("live_days_mapping_id_fk"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("mapping_id", "day", name=op.f("live_days_pk")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "erased",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("stamp", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("erased_pk")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "erasures",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("identities", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("counts", sa.Text(), nullable=False, server_default="{}"),
        sa.PrimaryKeyConstraint("id", name=op.f("erasures_pk")),
    )
    op.create_table(
        "salts",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("salts_pk")),
    )
