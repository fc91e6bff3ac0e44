"""A backup of the data directory in one file, while the program runs, and its restoration.

The file is a tar archive with the database and the generated secret key. PostgreSQL has tools of its own, which the
errors name.
"""

import os
import shutil
import tarfile
import tempfile
from pathlib import Path

from sqlalchemy import make_url

from core.errors import InputError
from core.settings import Settings
from core.store import postgresql
from core.store.former_files import workflow_file
from core.store.sqlite_backup import check_file, copy_file
from core.vault import KEY_FILE


def create_backup(settings: Settings, target: Path) -> list[str]:
    """Write a backup to a file that only its owner can read, and return the names of the files in it.

    Raises InputError if there is nothing to back up, the database is PostgreSQL, or the file exists or can't be
    written; StorageError if the database can't be copied.
    """
    database = _database_file(settings, "Back it up with pg_dump, in its custom format")
    if not database.exists():
        raise InputError(f"There is no database in {settings.data_dir}. ITERABLE_SYNC_DATA_DIR names the directory.")
    if target.exists():
        raise InputError(f"{target} exists. Choose a name that is free.")
    try:
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".backup-") as name:
            folder = Path(name)
            copies = [folder / database.name]
            copy_file(database, copies[0])
            if settings.secret_key is None and (settings.data_dir / KEY_FILE).exists():
                copies.append(settings.data_dir / KEY_FILE)
            archive = folder / "archive"
            with archive.open("xb") as file, tarfile.open(fileobj=file, mode="w:gz", compresslevel=1) as tar:
                for copy in copies:
                    tar.add(copy, copy.name)
                tar.close()
                file.flush()
                os.fsync(file.fileno())
            os.link(archive, target)  # which fails if the name was taken meanwhile
    except OSError as error:
        raise InputError(
            f"{target} can't be written ({error.strerror}). Choose another file.", path=str(target)
        ) from error
    return [copy.name for copy in copies]


def restore_backup(settings: Settings, source: Path) -> list[str]:
    """Unpack a backup into a data directory that has no database, and return the names of its files.

    Raises InputError if the file is not a backup or is damaged, the directory has a database or a key, or the database
    is PostgreSQL. Then nothing is changed.
    """
    database = _database_file(settings, "Restore it with pg_restore")
    places = {path.name: path for path in (settings.data_dir / KEY_FILE, database)}
    ignored = workflow_file(database).name
    for path in places.values():
        if path.exists():
            raise InputError(
                f"{path} exists. Stop the program, and move the data directory away or choose an empty one with "
                "ITERABLE_SYNC_DATA_DIR."
            )
    try:
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=settings.data_dir, prefix=".restore-") as name:
            folder = Path(name)
            with tarfile.open(source, mode="r:gz") as tar:
                names = [member.name for member in tar.getmembers() if member.name != ignored]
                if database.name not in names or not set(names) <= set(places):
                    raise InputError(f"{source} is not a backup of Iterable Sync.")
                for each in names:
                    _unpack(tar, each, folder / each)
            check_file(folder / database.name)
            for each, path in places.items():  # the database last: a directory without it can be restored again
                if each in names:
                    (folder / each).chmod(0o600)
                    os.link(folder / each, path)
    except (tarfile.TarError, EOFError) as error:
        raise InputError(f"{source} is not a backup of Iterable Sync, or is damaged.") from error
    except OSError as error:
        raise InputError(f"{source} can't be restored ({error.strerror or 'it is damaged'}).") from error
    return names


def _unpack(tar: tarfile.TarFile, name: str, target: Path) -> None:
    """Write a file of an archive. Raises TarError if the name is that of a directory or of a link."""
    content = tar.extractfile(name)
    if content is None or not tar.getmember(name).isfile():
        raise tarfile.TarError
    with target.open("xb") as file:
        shutil.copyfileobj(content, file, 1 << 20)
        file.flush()
        os.fsync(file.fileno())


def _database_file(settings: Settings, remedy: str) -> Path:
    """Return the file of the database. Raises InputError for PostgreSQL."""
    url = settings.resolved_database_url
    if postgresql.is_postgresql(url):
        raise InputError(
            f"The database is PostgreSQL, which has its own tools. {remedy} (the address in "
            "ITERABLE_SYNC_DATABASE_URL). Keep the secret key, too."
        )
    return Path(make_url(url).database or "")
