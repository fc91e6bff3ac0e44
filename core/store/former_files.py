"""Files of former versions that this one no longer needs."""

from pathlib import Path


def workflow_file(database: Path) -> Path:
    """Return the file in which version 0.1.0 had the records of a workflow engine, next to a SQLite database."""
    return database.with_name(database.name.replace(".sqlite", "-workflows.sqlite"))


def remove_workflow_file(database: Path) -> None:
    """Remove that file, if there is one. Nothing in it is needed: the database has the state of each run."""
    path = workflow_file(database)
    for end in ("", "-wal", "-shm"):
        path.with_name(path.name + end).unlink(missing_ok=True)
