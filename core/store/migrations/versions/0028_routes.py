"""Routes of notifications, and their deliveries."""

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "routes",
        sa.Column("id", _ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("team_id", sa.Text()),
        sa.Column("connection_id", _ID),
        sa.Column("events", sa.Text(), nullable=False),
        sa.Column("fallback", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("sealed", sa.LargeBinary()),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="routes_pk"),
        sa.ForeignKeyConstraint(
            ["connection_id"], ["connections.id"], ondelete="CASCADE", name=op.f("routes_connection_id_fk")
        ),
    )
    op.create_index(op.f("routes_name_ix"), "routes", ["name"], unique=True)
    op.create_index(op.f("routes_connection_id_ix"), "routes", ["connection_id"])
    op.create_table(
        "deliveries",
        sa.Column("number", _ID, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("route_id", _ID, nullable=False),
        sa.Column("event_type", sa.Text(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("next_at", sa.Float()),
        sa.Column("expires_at", sa.Float(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("status_code", sa.Integer()),
        sa.Column("error", sa.Text()),
        sa.Column("delivered_at", sa.Float()),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("alert_id", _ID),
        sa.Column("replayed", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.PrimaryKeyConstraint("number", name="deliveries_pk"),
        sa.UniqueConstraint("id", name=op.f("deliveries_id_uq")),
        sa.ForeignKeyConstraint(["route_id"], ["routes.id"], ondelete="CASCADE", name=op.f("deliveries_route_id_fk")),
    )
    for columns in (["next_at"], ["route_id", "subject"], ["alert_id"], ["created_at"]):
        op.create_index(op.f(f"deliveries_{'_'.join(columns)}_ix"), "deliveries", columns)
