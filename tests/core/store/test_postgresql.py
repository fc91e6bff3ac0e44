"""PostgreSQL: addresses in platforms' forms, roles without CREATE, and several servers."""

import gc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
from sqlalchemy import Select, func, select
from sqlalchemy.exc import OperationalError

from core.engine import open_engine
from core.errors import SettingsError
from core.settings import Settings
from core.store.database import Database
from core.store.migrate import migrate
from core.store.postgresql import connection_parameters
from tests.core.databases import new_postgresql, without
from tests.core.test_storage_postgresql import terminate


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("postgres://u:p@h:5432/d", {"user": "u", "password": "p", "host": "h", "port": "5432", "dbname": "d"}),
        ("POSTGRES://u@h/d", {"user": "u", "host": "h", "dbname": "d"}),
        ("postgresql+psycopg://u:p@h/d", {"user": "u", "password": "p", "host": "h", "dbname": "d"}),
        ("postgres://h1:1,h2:2/d", {"host": "h1,h2", "port": "1,2", "target_session_attrs": "read-write"}),
        ("postgres://h1,h2/d?target_session_attrs=any", {"host": "h1,h2", "target_session_attrs": "any"}),
        ("postgres://h/d?sslmode=verify-full&options=-csearch_path%3Dapp", {"options": "-csearch_path=app"}),
        ("postgresql:///d?host=/run/postgresql", {"host": "/run/postgresql", "dbname": "d"}),
        ("postgresql://%2Frun%2Fpostgresql/d", {"host": "/run/postgresql", "dbname": "d"}),
        ("postgresql://[::1]:5432/d", {"host": "::1", "port": "5432"}),
        ("postgres://h/d?application_name=a@b", {"host": "h", "application_name": "a@b"}),
        ("postgres://u:p@h/d?application_name=a@b", {"password": "p", "host": "h", "application_name": "a@b"}),
    ],
)
def test_address(address: str, expected: dict[str, str]) -> None:
    """An address means the same as to PostgreSQL's own clients."""
    parameters = connection_parameters(address)
    assert {name: parameters.get(name) for name in expected} == expected


@pytest.mark.parametrize(
    "password", ["p@ss", "p/s", "p?s", "p#s", "p:s", "100%", "50%off", "p[s]", "p s", "p%40s", "§&+="]
)
def test_password_with_any_character(password: str) -> None:
    """A password may contain any character, as it is or percent-encoded."""
    for written in (password, quote(password, safe="")):
        parameters = connection_parameters(f"postgres://u:{written}@h:5432/d?sslmode=require")
        expected = "p@s" if written == "p%40s" else password
        assert (parameters["user"], parameters["password"], parameters["host"]) == ("u", expected, "h")


@pytest.mark.parametrize(
    "address",
    [
        "postgres://u:1/secret@h/d",
        "postgres://u:a@secret/b@h/d",
        "postgres://u:a@b?secret@h/d",
        "postgres://u:p@h:secret/d",
        "postgres://u:secret",
        "postgres://h/d?secret",
    ],
)
def test_ambiguous_address(address: str) -> None:
    """An ambiguous address is refused with a remedy, and no part of the password is shown."""
    with pytest.raises(SettingsError, match="@ as %40") as refused:
        Database(address)
    assert "secret" not in refused.value.message
    assert refused.value.__cause__ is None


def test_parameter_of_another_client() -> None:
    """An error names a parameter that PostgreSQL's own clients do not know."""
    with pytest.raises(SettingsError, match="has the parameter schema, which"):
        Database("postgres://u:p@h/d?schema=app")


@pytest.fixture
def url(postgresql_server: str) -> Iterator[str]:
    """The address of a database without tables."""
    address = new_postgresql(postgresql_server, empty=True)
    yield address
    without(postgresql_server, address)


@pytest.fixture
def role(postgresql_server: str, url: str) -> Iterator[str]:
    """A role without the right to create anything in the database."""
    with psycopg.connect(postgresql_server, autocommit=True) as server:
        server.execute("CREATE ROLE nocreate LOGIN")
    with psycopg.connect(url, autocommit=True) as database:
        database.execute("REVOKE CREATE ON SCHEMA public FROM public")
    yield "nocreate"
    with psycopg.connect(url, autocommit=True) as database:
        database.execute("DROP OWNED BY nocreate")
        database.execute("DROP ROLE nocreate")


async def test_several_servers(url: str) -> None:
    """The first reachable server that accepts writes is used."""
    directory = connection_parameters(url)["host"]
    several = f"postgres://postgres@{quote('/nowhere', safe='')},{quote(directory, safe='')}/{_name(url)}"
    database = Database(several)
    await migrate(database)
    await database.close()


async def _read_a_part(database: Database, numbers: Select[Any], fail: Callable[[], object]) -> None:
    async with database.read_rows() as db:
        async for _ in (await db.stream(numbers)).partitions():
            fail()


@pytest.mark.parametrize("is_terminated", [False, True], ids=["reader fails", "connection breaks"])
async def test_stream_that_is_not_read_to_its_end(postgresql_server: str, url: str, *, is_terminated: bool) -> None:
    """A stream that a failure leaves unread causes no warning, and the next one is read."""
    database = Database(url)
    numbers = select(func.generate_series(1, 100)).execution_options(yield_per=10)

    def fail() -> None:
        if not is_terminated:
            raise ZeroDivisionError
        terminate(postgresql_server, url)

    with pytest.raises(OperationalError if is_terminated else ZeroDivisionError):
        await _read_a_part(database, numbers, fail)
    gc.collect()  # a warning is a failure
    async with database.read_rows() as db:
        assert len([row async for row in await db.stream(numbers)]) == 100
    await database.close()


async def test_missing_grants_are_named(tmp_path: Path, url: str, role: str) -> None:
    """An error names the missing GRANT of a role, and with it the program runs."""
    settings = Settings(data_dir=tmp_path, database_url=url.replace("postgres:@", f"{role}@"), _env_file=None)  # type: ignore[call-arg, arg-type]
    with pytest.raises(SettingsError, match="GRANT CREATE ON SCHEMA public TO nocreate;") as refused:
        async with open_engine(settings, "test"):
            pass
    assert "ITERABLE_SYNC_DATA_DIR" not in refused.value.message
    grant(url, "GRANT CREATE ON SCHEMA public TO nocreate")
    async with open_engine(settings, "test"):
        pass


def grant(url: str, statement: str) -> None:
    """Execute a statement as the owner of a database."""
    with psycopg.connect(url, autocommit=True) as database:
        database.execute(statement.encode())


def _name(url: str) -> str:
    return url.rpartition("?")[0].rpartition("/")[2]
