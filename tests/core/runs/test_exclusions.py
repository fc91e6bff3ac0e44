"""Exclusions: who is kept off a list, who leaves it, and how they are counted."""

import random
from dataclasses import replace
from typing import Any

import pytest

from core.connections.exclusions import ExclusionInput, change_exclusions
from core.connections.mapping_settings import edit
from core.errors import ConflictError, InputError
from core.models.exclusions import ExclusionKind, exclusions_text
from core.models.run import GuardName, RunRequest, RunStatus
from core.runs import approval, worker
from core.store import audit_log, connections, mappings
from core.store.audit_log import AuditAction
from core.store.mappings import AudienceMapping, MappingStatus, RemovalPolicy
from tests.core.harness import OTHER_LIST, WALKS, Sync, addresses, people, person, queue_run

ASKED: dict[str, Any] = {"by": "U1", "team_id": None, "allowed": None}


async def mapping_of(sync: Sync, mapping_id: int) -> AudienceMapping:
    """Return a mapping as it is stored now."""
    async with sync.engine.database.read() as db:
        mapping = await mappings.by_id(db, mapping_id)
    assert mapping is not None
    return mapping


async def test_each_kind_keeps_people_off(sync: Sync) -> None:
    """Addresses, domains, files and other mappings exclude; who is on the list leaves it; all are accounted for."""
    others = await sync.mirror(people([7]), list_id=OTHER_LIST, audience="Others")
    first = await sync.mirror([*people(range(8)), person(8, email="p8@mail.rival.example.com")], audience="A")
    mapping_id = first.run.mapping_id
    excluded = sync.directory / "excluded.csv"
    excluded.write_text("email\nP3@example.com\n")
    changed = await change_exclusions(
        sync.engine,
        mapping_id,
        add=ExclusionInput([" P1@Example.com "], ["@rival.example.com"], [str(excluded)], [others.run.mapping_id]),
        approved=True,
        **ASKED,
    )
    assert changed.status is MappingStatus.ACTIVE
    assert exclusions_text(changed.exclusions) == (
        f"1 address, @rival.example.com, the people in {excluded}, the people of mapping {others.run.mapping_id}"
    )
    members = [
        *people(range(12)),
        person(12, email="p12@rival.example.com"),
        person(13, email="p13@notrival.example.com"),
    ]
    done = await sync.mirror(members, audience="A")
    assert done.run.status is RunStatus.SUCCEEDED, done.run.error
    assert done.counts == {
        "members": 14,
        "left": 3,
        "added": 4,
        "updated": 1,
        "removed": 3,
        "unchanged": 5,
        "rejected": 4,
    }
    assert done.rejected == {"excluded": 4}


async def test_file_of_an_exclusion_that_a_person_may_not_read(
    sync: Sync, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A run that a person started reads no excluded people from elsewhere, and sends nothing without them."""
    first = await sync.mirror(people(range(3)))
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "excluded.csv"
    elsewhere.write_text("email\np3@example.com\n")
    of_operator = ExclusionInput([], [], [str(elsewhere)], [])
    await change_exclusions(sync.engine, first.run.mapping_id, add=of_operator, approved=True, **ASKED)
    async with sync.engine.database.read() as db:
        connection = await connections.by_id(db, first.run.connection_id)
    assert connection is not None
    mapping = await mapping_of(sync, first.run.mapping_id)
    request = RunRequest(path=str(sync.mirror_file(people(range(5)))))
    run_id = await queue_run(sync.engine, connection, mapping, request, started_by="U1")
    await worker.start(sync.engine, run_id)
    assert (await sync.outcome(run_id)).run.status is RunStatus.FAILED
    assert sync.emails() == addresses(range(3))


async def test_change_waits_for_approval(sync: Sync) -> None:
    """A change needs approval with the next sync, which shows it; declined, everything is as before."""
    first = await sync.mirror(people(range(5)))
    mapping_id = first.run.mapping_id
    add = ExclusionInput(["p1@example.com"])
    proposed = await change_exclusions(sync.engine, mapping_id, add=add, **ASKED)
    assert (proposed.status, proposed.proposed_by) == (MappingStatus.PROPOSED, "U1")
    waiting = await sync.mirror(people(range(5)))
    assert waiting.run.plan is not None
    (guard,) = waiting.run.plan.guards
    assert guard.name is GuardName.NEW_MAPPING
    assert "it excludes 1 address (before: no one)" in guard.message
    digest = waiting.run.plan_digest
    await approval.decline(sync.engine, waiting.run.id, plan_digest=digest, by="U2", comment=None, team_id=None)
    declined = await mapping_of(sync, mapping_id)
    assert (declined.status, declined.exclusions, declined.change_before) == (MappingStatus.ACTIVE, (), None)

    await change_exclusions(sync.engine, mapping_id, add=add, **ASKED)
    back = await change_exclusions(sync.engine, mapping_id, remove=add, **ASKED)
    assert (back.status, back.change_before) == (MappingStatus.ACTIVE, None)

    await change_exclusions(sync.engine, mapping_id, add=add, **ASKED)
    await edit(sync.engine, mapping_id, by="U1", team_id=None, removal_policy=RemovalPolicy.KEEP, name="VIPs")
    waiting = await sync.mirror(people(range(5)))
    # what is approved is what the plan was made with
    await change_exclusions(sync.engine, mapping_id, add=ExclusionInput(domains=["rival.example.com"]), **ASKED)
    assert (await sync.approve(waiting.run.id)).counts["removed"] == 1
    assert (await mapping_of(sync, mapping_id)).status is MappingStatus.PROPOSED
    done = await sync.mirror(people(range(5)), approved=True)
    assert done.run.status is RunStatus.SUCCEEDED
    approved = await mapping_of(sync, mapping_id)
    assert (approved.status, approved.change_before, approved.removal_policy) == (
        MappingStatus.ACTIVE,
        None,
        RemovalPolicy.KEEP,
    )
    assert sync.emails() == addresses([0, 2, 3, 4])
    async with sync.engine.database.read() as db:
        entries = await audit_log.of(db, [f"mapping:{mapping_id}"])
    changes = [each for each in entries if each.action is AuditAction.MAPPING_CHANGED]
    assert changes[0].after == {"exclusions": "1 address"}
    assert changes[4].after == {"removal_policy": "keep", "name": "VIPs"}


async def test_invalid_exclusions_are_refused(sync: Sync) -> None:
    """What can't be an exclusion is refused with a sentence, and a missing file stops the sync."""
    first = await sync.mirror(people(range(2)))
    mapping_id = first.run.mapping_id
    wrong_ones = [
        ExclusionInput(addresses=["no address"]),
        ExclusionInput(domains=["rival"]),
        ExclusionInput(files=["https://host/file.csv?secret=1"]),
        ExclusionInput(files=["gopher://host/file"]),
        ExclusionInput(mapping_ids=[mapping_id]),
        ExclusionInput(mapping_ids=[99]),
        ExclusionInput(addresses=[f"a{number}@example.com" for number in range(501)]),
    ]
    for wrong in wrong_ones:
        with pytest.raises(InputError):
            await change_exclusions(sync.engine, mapping_id, add=wrong, **ASKED)
    missing = ExclusionInput(files=[str(sync.directory / "missing.csv")])
    await change_exclusions(sync.engine, mapping_id, add=missing, approved=True, **ASKED)
    failed = await sync.mirror(people(range(3)))
    assert failed.run.status is RunStatus.FAILED
    assert "missing.csv: there is no such file" in (failed.run.error or "")
    await change_exclusions(sync.engine, mapping_id, clear=[ExclusionKind.FILE], approved=True, **ASKED)
    assert (await sync.mirror(people(range(3)))).run.status is RunStatus.SUCCEEDED
    async with sync.engine.database.write() as db:
        await mappings.change(db, mapping_id, status=MappingStatus.PAUSED)
    with pytest.raises(ConflictError, match="is paused"):
        await change_exclusions(sync.engine, mapping_id, add=missing, **ASKED)


@pytest.mark.extended
@pytest.mark.parametrize("walk", range(WALKS))
async def test_list_is_the_audience_without_the_excluded(sync: Sync, walk: int) -> None:
    """Whatever is excluded, and in whatever mode people come and go, the list has exactly who may be on it."""
    chance = random.Random(walk)
    domains = ["shop.example.com", "rival.example.com", "mail.rival.example.com", "notrival.example.com"]
    world = {number: person(number, email=f"p{number}@{chance.choice(domains)}") for number in range(24)}
    file = sync.directory / "excluded.csv"
    first = chance.sample(sorted(world), 12)
    mapping_id = (await sync.mirror([world[number] for number in first], approved=True)).run.mapping_id
    on_list = {number: world[number].email or "" for number in first}
    for step in range(6):
        named = [world[number].email or "" for number in chance.sample(sorted(world), 4)]
        domain = chance.choice(["", "rival.example.com"])
        file.write_text("".join(f"{line}\n" for line in ["email", *named[:2]]))
        add = ExclusionInput(named[2:], [domain] if domain else [], [str(file)])
        everything = list(ExclusionKind)
        await change_exclusions(sync.engine, mapping_id, add=add, clear=everything, approved=True, **ASKED)
        for number in chance.sample(sorted(world), 3):  # they get another address
            world[number] = replace(world[number], email=f"p{number}.{step}@{chance.choice(domains)}")

        def is_excluded(email: str | None, named: list[str] = named, domain: str = domain) -> bool:
            of_domain = domain and email is not None and email.rpartition("@")[2] in (domain, f"mail.{domain}")
            return email in named or bool(of_domain)

        mode, shuffled = chance.choice(["mirror", "delta", "add"]), chance.sample(sorted(world), 14)
        present, absent = shuffled[:9], shuffled[9:] if mode == "delta" else []
        members = [world[number] for number in present]
        if mode == "delta":
            done = await sync.delta(members, [world[number] for number in absent], approved=True)
        else:
            done = await sync.mirror(members, approved=True, mode=mode)
        stay = {} if mode == "mirror" else {n: e for n, e in on_list.items() if n not in absent and not is_excluded(e)}
        on_list = {number: email for number, email in stay.items() if number not in present}
        on_list |= {member.mpid: member.email or "" for member in members if not is_excluded(member.email)}
        assert done.run.status is RunStatus.SUCCEEDED, done.run.error
        assert sync.emails() == set(on_list.values()), (walk, step, mode)
        assert done.run.counters.missing == 0
        assert done.rejected.get("excluded", 0) == sum(is_excluded(member.email) for member in members)
