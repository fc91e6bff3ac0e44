"""Schedules, the sources of mappings and their files; failed runs that are retried without a person."""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

_Id = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Create the tables, and add the columns."""
    op.add_column("runs", sa.Column("retry_at", sa.Float()))
    op.add_column("runs", sa.Column("auto_retries", sa.Integer(), nullable=False, server_default="0"))
    is_retried = sa.text("retry_at IS NOT NULL")
    op.create_index(
        op.f("runs_retry_at_ix"), "runs", ["retry_at"], sqlite_where=is_retried, postgresql_where=is_retried
    )
    _create_schedules()
    _create_sources()


def _create_schedules() -> None:
    op.create_table(
        "schedules",
        sa.Column("id", _Id, nullable=False),
        sa.Column("connection_id", _Id, nullable=False),
        sa.Column("mapping_id", _Id, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("trigger", sa.Text(), nullable=False),
        sa.Column("cron", sa.Text()),
        sa.Column("time_zone", sa.Text(), nullable=False),
        sa.Column("after_mapping_id", _Id),
        sa.Column("missed", sa.Text(), nullable=False, server_default="once"),
        sa.Column("quiet_from", sa.Text()),
        sa.Column("quiet_to", sa.Text()),
        sa.Column("next_due_at", sa.Float()),
        sa.Column("last_fired_at", sa.Float()),
        sa.Column("paused", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="schedules_pk"),
        _reference("schedules", "connection_id", "connections"),
        _reference("schedules", "mapping_id", "mappings"),
        _reference("schedules", "after_mapping_id", "mappings"),
    )
    op.create_index(op.f("schedules_connection_id_name_ix"), "schedules", ["connection_id", "name"], unique=True)
    for column in ("mapping_id", "after_mapping_id", "next_due_at"):
        op.create_index(op.f(f"schedules_{column}_ix"), "schedules", [column])


def _create_sources() -> None:
    op.create_table(
        "sources",
        sa.Column("mapping_id", _Id, nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("sealed", sa.Text()),
        sa.Column("columns", sa.Text(), nullable=False, server_default="{}"),
        sa.Column("sheet", sa.Text()),
        sa.Column("archive", sa.Text()),
        sa.Column("existing", sa.Text(), nullable=False, server_default="newest"),
        sa.Column("set_by", sa.Text(), nullable=False),
        sa.Column("team_id", sa.Text()),
        sa.Column("look_at", sa.Float()),
        sa.Column("look_by", sa.Text()),
        sa.Column("looked_at", sa.Float()),
        sa.Column("failures", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("error_code", sa.Text()),
        sa.PrimaryKeyConstraint("mapping_id", name="sources_pk"),
        _reference("sources", "mapping_id", "mappings"),
    )
    op.create_index(op.f("sources_look_at_ix"), "sources", ["look_at"])
    op.create_table(
        "source_files",
        sa.Column("id", _Id, nullable=False),
        sa.Column("mapping_id", _Id, nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("tag", sa.Text(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("seen_at", sa.Float(), nullable=False),
        sa.Column("unchanged_since", sa.Float(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text()),
        sa.Column("run_id", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="source_files_pk"),
        _reference("source_files", "mapping_id", "mappings"),
    )
    op.create_index(op.f("source_files_mapping_id_address_ix"), "source_files", ["mapping_id", "address"], unique=True)


def _reference(table: str, column: str, to: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{to}.id"], name=f"{table}_{column}_fk", ondelete="CASCADE")
