"""Data fields: chosen columns of a table reach Iterable with their types, and only when they change."""

import json
import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from core.connections import data_fields
from core.connections.environment import environment_connection
from core.identity import UserIdField
from core.iterable import DataCenter
from core.models.data_fields import parse_fields
from core.models.run import GuardName, RunRequest
from core.privacy import erasure
from core.reporting.rejected_csv import csv_row
from core.runs import worker
from core.runs.submission import submit
from core.store import batches, erasures, field_values, ledger, mappings, rejections
from core.store.batches import BatchStatus
from core.store.mappings import MappingStatus
from sandbox.iterable import Fault
from tests.core.harness import LIST, OTHER_LIST, QUICK, Outcome, RunStatus, Sync, decide, syncing

PLAN = {"Plan": "plan"}


@pytest.fixture
async def sync(tmp_path: Path) -> AsyncIterator[Sync]:
    """An engine with a local Iterable."""
    async with syncing(tmp_path, retry_policy=QUICK) as opened:
        yield opened


def table(sync: Sync, text: str, name: str = "audience.csv") -> Path:
    """Write a table."""
    path = sync.directory / name
    path.write_text(text)
    return path


async def send(sync: Sync, path: Path, fields: Mapping[str, str] | None, **options: Any) -> Outcome:
    """Sync a table with these data fields (None: those of the mapping), approved in advance."""
    request = RunRequest(path=str(path), **{"approved": True, **options})
    connection = await environment_connection(
        sync.engine, user_id=UserIdField.CUSTOMER_ID, data_center=DataCenter.US, rate=0
    )
    submission = await submit(sync.engine, connection, LIST, request, fields=fields)
    await worker.start(sync.engine, submission.run_id)
    return await sync.outcome(submission.run_id)


def known(sync: Sync) -> dict[str, dict[str, Any]]:
    """What Iterable knows of each person, by email."""
    project = sync.iterable.state.project()
    return {str(project.people.identity(number)[0]): data for number, data in project.data.items()}


def requests(sync: Sync) -> int:
    """How many subscribe requests Iterable has got."""
    return len(sync.iterable.state.log.find(path="/api/lists/subscribe"))


async def test_columns_become_data_fields_with_their_types(sync: Sync) -> None:
    """Text of a CSV file becomes what all of a column can be read as; empty cells are left out."""
    path = table(
        sync,
        "email,Plan,age,share,vip,since,zip\n"
        "a@example.com,gold,7,0.5,true,2026-01-31,01234\n"
        "b@example.com,,8,2,false,2026-02-01T10:00:00+02:00,90210\n"
        "c@example.com,NULL,n/a,,,,\n",
    )
    fields = {"Plan": "plan", "age": "age", "share": "share", "vip": "vip", "since": "since", "zip": "zip"}
    outcome = await send(sync, path, fields)
    assert outcome.counts == {"members": 3, "added": 3}
    assert known(sync) == {
        "a@example.com": {
            "plan": "gold",
            "age": 7,
            "share": 0.5,
            "vip": True,
            "since": "2026-01-31 00:00:00 +00:00",
            "zip": "01234",
        },
        "b@example.com": {
            "age": 8,
            "share": 2,
            "vip": False,
            "since": "2026-02-01 08:00:00 +00:00",
            "zip": "90210",
        },
    }
    assert sync.iterable.state.project().data_fields["since"] == "date"


async def test_only_changed_fields_are_sent_again(sync: Sync) -> None:
    """Unchanged members cause no request; a member whose fields alone changed is an update."""
    rows = ["a@example.com,gold", "b@example.com,silver"]
    first = await send(sync, table(sync, "\n".join(["email,Plan", *rows])), PLAN)
    sent = requests(sync)
    second = await send(sync, table(sync, "\n".join(["email,Plan", *rows])), None)
    assert (first.counts["added"], second.counts) == (2, {"members": 2, "unchanged": 2})
    assert requests(sync) == sent
    third = await send(sync, table(sync, "email,Plan\na@example.com,gold\nb@example.com,gold"), None)
    assert third.counts == {"members": 2, "unchanged": 1, "updated": 1}
    assert known(sync)["b@example.com"] == {"plan": "gold"}
    emptied = await send(sync, table(sync, "email,Plan\na@example.com,\nb@example.com,gold"), None)
    assert emptied.counts == {"members": 2, "unchanged": 2}
    assert known(sync)["a@example.com"] == {"plan": "gold"}


async def test_no_value_is_kept(sync: Sync) -> None:
    """After a sync, the database has digests of the data fields, and no value of them."""
    await send(sync, table(sync, "email,Plan\na@example.com,verysecretplan"), PLAN)
    waiting = await send(sync, table(sync, "email,Plan\na@example.com,othersecretplan"), None, dry_run=True)
    assert waiting.run.status is RunStatus.PLANNED
    async with sync.engine.database.write() as db:
        assert not await field_values.drop_unneeded(db)
    with closing(sqlite3.connect(sync.engine.settings.data_dir / "iterable-sync.sqlite")) as con:
        assert con.execute("SELECT count(*) FROM change_fields").fetchone() == (0,)
        digests = con.execute("SELECT fields FROM ledger").fetchall()
        dump = "\n".join(con.iterdump())
    assert [len(digest) for (digest,) in digests] == [32]
    assert "secretplan" not in dump


async def test_a_clash_with_the_type_in_iterable_names_the_field(sync: Sync) -> None:
    """A value that the field can't take is iterable_invalid_data, with the field named, and costs no request."""
    sync.iterable.state.project().data_fields.update({"age": "long", "plan": "string"})
    path = table(sync, "email,Plan,age\na@example.com,5,7\nb@example.com,6,seven\n")
    outcome = await send(sync, path, {"Plan": "plan", "age": "age"})
    assert outcome.counts == {"members": 2, "added": 1, "rejected": 1}
    assert outcome.rejected == {"iterable_invalid_data": 1}
    assert known(sync) == {"a@example.com": {"plan": "5", "age": 7}}
    async with sync.engine.database.read() as db:
        (rejection,) = await rejections.first(db, outcome.run.id, 5)
    assert rejection.words == "Data field age: it has to be a whole number, and at most 32,766 bytes long."
    assert rejection.words in csv_row(rejection)


async def test_a_field_that_iterable_refuses_is_named(sync: Sync) -> None:
    """If Iterable refuses a member because of a field's type, the rejection names the field; else it has no words."""
    words = []
    for answer, plan in (("400 validationErrors", "gold"), ("400 BadParams", "silver")):
        sync.iterable.faults.set([Fault("answer", path="/api/lists/subscribe", answer=answer)])
        outcome = await send(sync, table(sync, f"email,Plan\na@example.com,{plan}"), PLAN)
        assert outcome.rejected == {"iterable_invalid_data": 1}
        async with sync.engine.database.read() as db:
            (rejection,) = await rejections.first(db, outcome.run.id, 5)
        words.append(rejection.words)
    assert words == ["Data field birthday: Iterable expects another type.", None]


async def test_values_of_json_keep_their_types(sync: Sync) -> None:
    """Numbers, truth values, arrays and objects of JSON are sent as they are; strings stay strings."""
    rows = [
        {"email": "a@example.com", "n": 1, "x": 1.5, "s": "7", "b": True, "tags": ["x", "y"], "home": {"city": "Bonn"}},
        {"email": "b@example.com", "n": 2, "s": None},
    ]
    path = table(sync, "\n".join(map(json.dumps, rows)), "audience.json")
    await send(sync, path, {name: name for name in rows[0] if name != "email"})
    assert known(sync) == {
        "a@example.com": {name: value for name, value in rows[0].items() if name != "email"},
        "b@example.com": {"n": 2},
    }


async def test_a_phone_number_is_named_as_in_the_hosted_extension(sync: Sync) -> None:
    """$Mobile becomes phoneNumber, with digits and plus signs only."""
    path = table(sync, "email,$Mobile\na@example.com,+1 (555) 876-5309\n")
    await send(sync, path, parse_fields(["$Mobile"]))
    assert known(sync) == {"a@example.com": {"phoneNumber": "+15558765309"}}


async def test_chosen_fields_need_approval(sync: Sync) -> None:
    """A sync with newly chosen fields waits, the plan shows them, and its approval approves the mapping."""
    await send(sync, table(sync, "email,Plan\na@example.com,gold"), None)
    waiting = await send(sync, table(sync, "email,Plan\na@example.com,gold"), PLAN, approved=False)
    assert waiting.run.status is RunStatus.NEEDS_APPROVAL
    assert waiting.run.plan is not None
    assert [guard.name for guard in waiting.run.plan.guards] == [GuardName.NEW_MAPPING]
    assert "with the data fields Plan as plan" in waiting.run.plan.guards[0].message
    assert waiting.run.plan.fields == PLAN
    assert "Data fields sent: Plan as plan." in waiting.run.plan.notes
    assert "New in Iterable, with the type that the first value gives for good: plan (text)." in waiting.run.plan.notes
    approved = await sync.approve(waiting.run.id)
    assert approved.counts == {"members": 1, "updated": 1}
    async with sync.engine.database.read() as db:
        mapping = await mappings.by_id(db, waiting.run.mapping_id)
    assert mapping is not None
    assert (mapping.status, mapping.fields, mapping.fields_before) == (MappingStatus.ACTIVE, PLAN, None)


@pytest.mark.extended
async def test_a_dry_run_changes_no_choice(sync: Sync) -> None:
    """A dry run shows what other data fields would change, and the mapping keeps its own."""
    await send(sync, table(sync, "email,Plan,city\na@example.com,gold,Bonn"), PLAN)
    shown = await send(sync, table(sync, "email,Plan,city\na@example.com,gold,Bonn"), {"city": "city"}, dry_run=True)
    assert shown.run.plan is not None
    assert (shown.run.plan.to_update, shown.run.plan.fields) == (1, {"city": "city"})
    async with sync.engine.database.read() as db:
        mapping = await mappings.by_id(db, shown.run.mapping_id)
    assert mapping is not None
    assert (mapping.status, mapping.fields) == (MappingStatus.ACTIVE, PLAN)


@pytest.mark.extended
async def test_declining_a_change_of_fields_keeps_the_mapping(sync: Sync) -> None:
    """If a change of the fields is declined, the mapping is active with the fields that it had."""
    await send(sync, table(sync, "email,Plan,city\na@example.com,gold,Bonn"), PLAN)
    waiting = await send(
        sync, table(sync, "email,Plan,city\na@example.com,gold,Bonn"), {"city": "city"}, approved=False
    )
    await decide(sync.engine, waiting.run.id, approves=False)
    async with sync.engine.database.read() as db:
        mapping = await mappings.by_id(db, waiting.run.mapping_id)
    assert mapping is not None
    assert (mapping.status, mapping.fields) == (MappingStatus.ACTIVE, PLAN)


async def test_an_approval_of_other_fields_does_not_count(sync: Sync) -> None:
    """If the fields change after a plan was shown, its approval does not approve the new ones."""
    await send(sync, table(sync, "email,Plan,city\na@example.com,gold,Bonn"), None)
    waiting = await send(sync, table(sync, "email,Plan,city\na@example.com,gold,Bonn"), PLAN, approved=False)
    await data_fields.choose(sync.engine, waiting.run.mapping_id, {"city": "city"}, by="U1", team_id=None)
    await sync.approve(waiting.run.id)
    assert known(sync) == {"a@example.com": {"plan": "gold"}}
    async with sync.engine.database.read() as db:
        mapping = await mappings.by_id(db, waiting.run.mapping_id)
    assert mapping is not None
    assert mapping.status is MappingStatus.PROPOSED


async def test_a_missing_column_stops_the_sync(sync: Sync) -> None:
    """A table without a chosen column is refused, and nothing is sent."""
    outcome = await send(sync, table(sync, "email,Tarif\na@example.com,gold"), PLAN)
    assert outcome.run.status is RunStatus.FAILED
    assert "has no column Plan, which the mapping sends to Iterable as a data field" in str(outcome.run.error)
    assert requests(sync) == 0


@pytest.mark.extended
async def test_batches_end_before_the_limit_of_a_request(sync: Sync) -> None:
    """Requests with many bytes of data fields stay below 4 MB, without one that is refused."""
    rows = [f"p{number}@example.com,{'x' * 30_000}" for number in range(300)]
    outcome = await send(sync, table(sync, "\n".join(["email,Plan", *rows])), PLAN)
    assert outcome.counts == {"members": 300, "added": 300}
    assert [record.status for record in sync.iterable.state.log.find(path="/api/lists/subscribe")] == [200] * 3


@pytest.mark.extended
async def test_people_on_the_list_for_another_mapping_get_the_fields(sync: Sync) -> None:
    """Who is on the list for another audience already is sent the fields of this one, and nothing without fields."""
    await sync.run(table(sync, "email\na@example.com", "one.csv"), audience="One", approved=True)
    path = table(sync, "email,Plan\na@example.com,gold", "two.csv")
    outcome = await send(sync, path, PLAN, audience="Two")
    assert outcome.counts == {"members": 1, "added": 1}
    assert known(sync) == {"a@example.com": {"plan": "gold"}}
    assert sync.emails(OTHER_LIST) == set()


async def test_a_repeated_request_is_the_same(sync: Sync) -> None:
    """A request whose answer was lost is sent again with the same bytes, after the source is gone."""
    path = table(sync, "email,Plan,x\na@example.com,gold,1.10\nb@example.com,silver,2")
    sync.iterable.faults.add(Fault("reset", method="POST", path="/api/lists/subscribe", applied=True, times=50))
    outcome = await send(sync, path, {"Plan": "plan", "x": "x"})
    assert outcome.run.status is not RunStatus.SUCCEEDED
    path.unlink()
    sync.iterable.faults.clear()
    resumed = await sync.resume(outcome.run.id)
    assert resumed.counts == {"members": 2, "added": 2}
    assert known(sync) == {"a@example.com": {"plan": "gold", "x": 1.1}, "b@example.com": {"plan": "silver", "x": 2}}


async def test_an_erasure_deletes_values_and_digests(sync: Sync) -> None:
    """Erasing a person deletes what waits to be sent of them, and their digest; others keep theirs."""
    await send(sync, table(sync, "email,Plan\na@example.com,gold\nb@example.com,gold"), PLAN)
    waiting = await send(
        sync, table(sync, "email,Plan,x\na@example.com,lead,1\nb@example.com,lead,2"), {"x": "x"}, approved=False
    )
    subject = erasure.ErasureSubject(stamp=1, request=None, email=["a@example.com"])
    await erase(sync, subject)
    async with sync.engine.database.read_rows() as db:
        (batch,) = await batches.open_batches(db, waiting.run.id, BatchStatus.PLANNED, limit=5, vault=sync.engine.vault)
        digests = [row async for rows in ledger.field_digests(db, waiting.run.mapping_id, 5) for row in rows]
    assert batch.data_fields is not None
    assert list(batch.data_fields) == ["email:b@example.com"]
    assert [member_key for member_key, _ in digests] == ["email:b@example.com"]


async def erase(sync: Sync, subject: erasure.ErasureSubject) -> None:
    """Carry out an erasure, as mParticle's request does."""
    content = {name: getattr(subject, name) for name in ("stamp", "request", "email", "customer", "mpid")}
    async with sync.engine.database.write() as db:
        await erasures.begin(db, "e1", "", sync.engine.vault.encrypt(json.dumps(content)))
    await erasure.carry_out_all(sync.engine)
