"""Ended runs are written to the run log: each once, with numbers that add up."""

import hashlib
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import jinja2
import pytest
import yaml

from core.connections.exclusions import ExclusionInput, change_exclusions
from core.errors import InputError
from core.run_log import configuration, export, schema
from core.store import run_log
from core.store.audit_log import COMMAND_LINE
from core.store.run_log import Identifiers
from sandbox.iterable import Fault
from tests.core.harness import LIST, QUICK, RunStatus, person, syncing
from tests.core.run_log.harness import SALT, manifests, rows, turn_on
from tests.documents import code, code_blocks, section, table_rows


async def test_tables_of_a_run(tmp_path: Path, database_url: str) -> None:
    """A run, its changes and its rejections are written once, and the rows add up to the counters of the run."""
    async with syncing(tmp_path, database_url) as sync:
        await sync.mirror([person(1), person(2), person(3)])  # the run log is off
        place = await turn_on(sync.engine, tmp_path)
        refused = [person(4, email="a@forgotten.test"), person(5, email="a@unattributed.test")]
        outcome = await sync.mirror([person(1), person(2, email="two@example.com"), *refused, person(6, email=" No ")])
        await export.write_due(sync.engine)  # there is nothing more to write
        run = outcome.run
        columns = "run_id, day, member, email, user_id, action, outcome, reason"
        day = datetime.fromtimestamp(run.created_at, UTC).date()
        assert rows(place, "changes", columns) == [
            (run.id, day, "2", "two@example.com", "c2", "update", "accepted", None),
            (run.id, day, "3", "p3@example.com", "c3", "remove", "accepted", None),
            (run.id, day, "4", "a@forgotten.test", "c4", "add", "rejected", "iterable_forgotten"),
            (run.id, day, "5", "a@unattributed.test", "c5", "add", "accepted", None),
        ]
        assert rows(place, "rejections", "run_id, day, member, email, customer_id, reason, iterable_says") == [
            (run.id, day, "4", "a@forgotten.test", "c4", "iterable_forgotten", None),
            (run.id, day, "6", "no", "c6", "invalid_email", None),
            (run.id, day, None, None, None, "iterable_unattributed", None),
        ]
        numbers = "run_id, status, mode, members, added, updated, removed, unchanged, rejected, has_details"
        assert rows(place, "runs", numbers) == [(run.id, "succeeded", "mirror", 5, 0, 1, 1, 1, 3, True)]
        (times,) = rows(place, "changes", "count(changed_at), max(changed_at) < to_timestamp(2e9)")
        assert times == (4, True)
        (manifest,) = manifests(place)
        assert [(each["table"], each["rows"]) for each in manifest["files"]] == [
            ("changes", 4),
            ("rejections", 3),
            ("runs", 1),
        ]
        for each in manifest["files"]:
            content = (place / each["path"]).read_bytes()
            assert (each["bytes"], each["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())


@pytest.mark.extended
async def test_failed_run_that_succeeds_later(tmp_path: Path) -> None:
    """A failed run is written, with its changes so far, and once it has succeeded it is there once, as it ended."""
    async with syncing(tmp_path, retry_policy=QUICK) as sync:
        place = await turn_on(sync.engine, tmp_path)
        sync.iterable.faults.add(Fault("error", path="/api/lists/subscribe", status=503))
        outcome = await sync.mirror([person(1), person(2)])
        assert outcome.run.status is RunStatus.FAILED
        assert rows(place, "runs", "status, added, error_code") == [("failed", 0, outcome.run.error_code)]
        sync.iterable.faults.clear()
        await sync.resume(outcome.run.id)
        assert rows(place, "runs", "status, added") == [("succeeded", 2)]
        assert rows(place, "changes", "member, outcome") == [("1", "accepted"), ("2", "accepted")]
        assert len(manifests(place)) == 1


@pytest.mark.extended
async def test_excluded_member_who_leaves(tmp_path: Path) -> None:
    """A member who is excluded, and so leaves the list, is an accepted removal, and a rejection before it."""
    async with syncing(tmp_path) as sync:
        first = await sync.mirror([person(1), person(2)])
        add = ExclusionInput(["p1@example.com"])
        await change_exclusions(
            sync.engine, first.run.mapping_id, add=add, approved=True, by="U1", team_id=None, allowed=None
        )
        place = await turn_on(sync.engine, tmp_path)
        run = (await sync.mirror([person(1), person(2)])).run
        assert rows(place, "rejections", "member, reason") == [("1", "excluded")]
        assert rows(place, "changes", "member, action, outcome, reason") == [("1", "remove", "accepted", None)]
        assert rows(place, "runs", "removed, rejected") == [(run.counters.removed, run.counters.rejected)]


async def test_hashed_identifiers(tmp_path: Path) -> None:
    """With a salt, the files have hashes that SQL can compute, and no address. The salt is encrypted at rest."""
    async with syncing(tmp_path) as sync:
        place = await turn_on(sync.engine, tmp_path, Identifiers.HASHED)
        await sync.mirror([person(1), person(2, email=" No address ")])
        hashed = [hashlib.sha256(f"{SALT}{each}".encode()).hexdigest() for each in ("1", "p1@example.com", "c1")]
        assert rows(place, "changes", "member, email, user_id") == [tuple(hashed)]
        computed = f"email = sha256('{SALT}' || lower('No address'))"
        assert rows(place, "rejections", computed) == [(True,)]
        assert rows(place, "changes", "count(*) FILTER (email ~ '@')") == [(0,)]
        async with sync.engine.database.read() as db:
            log = await run_log.get(db)
        assert log is not None
        assert SALT.encode() not in log.sealed
        assert configuration.unseal(sync.engine.vault, log)[1] == SALT


async def test_no_identifiers(tmp_path: Path) -> None:
    """Identifiers can be left out: the rows stay."""
    async with syncing(tmp_path) as sync:
        place = await turn_on(sync.engine, tmp_path, Identifiers.NONE)
        await sync.mirror([person(1), person(2, email="no")])
        assert rows(place, "changes", "member, email, user_id, action") == [(None, None, None, "add")]
        assert rows(place, "rejections", "member, email, customer_id, reason") == [(None, None, None, "invalid_email")]


async def test_settings_of_the_run_log(tmp_path: Path) -> None:
    """A place that can't be written, and a salt that is missing, short or superfluous, are refused. Nothing is on."""
    async with syncing(tmp_path) as sync:
        wrong: list[tuple[str, Identifiers, str | None, str]] = [
            (str(tmp_path / "none"), Identifiers.RAW, None, "there is no such folder"),
            ("https://example.com/log", Identifiers.RAW, None, "can't be in https:"),
            (str(tmp_path), Identifiers.HASHED, None, "at least 16 characters"),
            (str(tmp_path), Identifiers.HASHED, "too short", "at least 16 characters"),
            (str(tmp_path), Identifiers.RAW, SALT, "for hashed identifiers only"),
        ]
        for address, identifiers, salt, message in wrong:
            with pytest.raises(InputError, match=message):
                await configuration.turn_on(sync.engine, address, identifiers, salt, by=COMMAND_LINE, team_id=None)
        async with sync.engine.database.read() as db:
            assert await run_log.get(db) is None


def test_reference() -> None:
    """The reference has exactly the columns of each table, with their types, in order."""
    names = {"string": "string", "int64": "int64", "bool": "bool", "timestamp[us, tz=UTC]": "timestamp"}
    for table, columns in schema.TABLES.items():
        documented = table_rows(section("docs/reference/run-log.md", f"Table `{table}`"))
        expected = [
            (column.name, names[str(column.type)] + (" or null" if column.nullable else "")) for column in columns
        ]
        assert [(code(row[0]), row[1]) for row in documented] == expected


async def test_examples_for_duckdb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The queries of the guide can be executed on a run log, and find what they say."""
    week, rejected, wrong, *_ = code_blocks("docs/howto/run-log.md", "sql")
    async with syncing(tmp_path) as sync:
        place = await turn_on(sync.engine, tmp_path, Identifiers.HASHED)
        await sync.mirror([person(1), person(2), person(3, email="No")])
        place.rename(tmp_path / "iterable-sync")
    monkeypatch.chdir(tmp_path)
    with duckdb.connect() as con:
        con.execute(f"SET TimeZone = 'UTC'; SET VARIABLE salt = '{SALT}'")
        con.execute("CREATE TABLE customers AS FROM (VALUES ('c3', 'NO'), ('c4', 'p4@example.com')) AS c (id, email)")
        assert con.execute(week).fetchall() == [(LIST, 1, 2, 0, 1)]
        con.execute(f"CREATE TABLE found AS {rejected}")
        assert con.execute("SELECT id, reason FROM found").fetchall() == [("c3", "invalid_email")]
        assert con.execute(wrong).fetchall() == []


async def test_examples_for_dbt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The models of the guide can be executed on a run log, as dbt renders them: at first, and incrementally."""
    guide = "docs/howto/run-log.md"
    (sources,) = (yaml.safe_load(text)["sources"] for text in code_blocks(guide, "yaml"))
    external = sources[0]["meta"]["external_location"].replace("s3://example-warehouse/", "")
    assert {each["name"] for each in sources[0]["tables"]} == set(schema.TABLES)
    async with syncing(tmp_path) as sync:
        place = await turn_on(sync.engine, tmp_path, Identifiers.RAW)
        await sync.mirror([person(1), person(2), person(3, email="No")])
        place.rename(tmp_path / "iterable-sync")
    monkeypatch.chdir(tmp_path)
    *_, changes, rejections = code_blocks(guide, "sql")
    with duckdb.connect() as con:
        for is_incremental in (False, True):
            model = jinja2.Template(changes).render(
                config=lambda **_: "",
                source=lambda _, name: external.format(name=name),
                is_incremental=lambda answer=is_incremental: answer,
                this="member_changes",
            )
            con.execute(f"CREATE OR REPLACE TABLE next AS {model.rstrip().rstrip(';')}")
            con.execute("CREATE OR REPLACE TABLE member_changes AS FROM next")
            assert con.execute("SELECT count(*) FROM member_changes").fetchone() == (2,)
        model = jinja2.Template(rejections).render(
            config=lambda **_: "", source=lambda _, name: external.format(name=name)
        )
        con.execute(f"CREATE TABLE reasons AS {model}")
        assert con.execute("SELECT reason, members FROM reasons").fetchall() == [("invalid_email", 1)]
