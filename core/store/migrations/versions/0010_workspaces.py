"""Connection names are unique in a workspace, erasures belong to an account, workspaces can remove the app."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change the tables. On SQLite, `connections` is rebuilt: a constraint can't be dropped there."""
    with op.batch_alter_table("connections") as connections:
        connections.drop_constraint("connections_name_uq", type_="unique")
        connections.add_column(sa.Column("uninstalled_at", sa.Float()))
    op.create_index(op.f("connections_team_id_name_ix"), "connections", ["team_id", "name"], unique=True)
    of_no_workspace = sa.text("team_id IS NULL")
    op.create_index(
        op.f("connections_name_ix"),
        "connections",
        ["name"],
        unique=True,
        sqlite_where=of_no_workspace,
        postgresql_where=of_no_workspace,
    )
    op.add_column("erasures", sa.Column("account_id", sa.Text()))
    op.execute("CREATE TABLE erased_before AS SELECT digest, stamp FROM erased")
    op.drop_table("erased")
    op.create_table(
        "erased",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("stamp", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "digest", name=op.f("erased_pk")),
        sqlite_with_rowid=False,
    )
    op.execute("INSERT INTO erased (account_id, digest, stamp) SELECT '', digest, stamp FROM erased_before")
    op.drop_table("erased_before")
