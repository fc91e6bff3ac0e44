"""Applies migrations with Alembic. core/store/migrate.py decides when."""

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Connection

from core.errors import SettingsError
from core.store.schema_snapshot import MIGRATIONS


def upgrade(connection: Connection) -> None:
    """Apply the missing migrations. Raises SettingsError if the database comes from a newer version."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    current = MigrationContext.configure(connection).get_current_revision()
    if current is not None and current not in known:
        raise SettingsError(
            f"The database comes from a newer version of iterable-sync (its version is {current}). Install that "
            "version, or point ITERABLE_SYNC_DATA_DIR at another directory."
        )
    command.upgrade(config, "head")
