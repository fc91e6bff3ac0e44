"""Looking a person up from Slack: privately, for those who may, and on record without the address."""

from pathlib import Path

import pytest

from bot.features.why.commands import meant
from core.models.run import RunRequest, RunStatus
from core.runs import commands
from core.store import audit_log
from core.store.mappings import AudienceMapping
from sandbox.slack.users.user_driver import Person
from tests.bot.slack.harness import ADA, AMIR, MARKETING, MAYA, TEAM, Workspace, audience, workspace
from tests.core.harness import Member, person, until


async def synced(here: Workspace, mapping: AudienceMapping, members: list[Member]) -> str:
    """A run that succeeded; returns its id."""
    path = here.engine.settings.data_dir / "audience.csv"
    path.write_bytes(audience(members))
    request = RunRequest(path=str(path), approved=True)
    run_id = await commands.start(here.engine, mapping, request, by=MAYA, channel=MARKETING, team_id=TEAM)

    async def has_ended() -> bool:
        return not (await here.run(run_id)).status.is_active

    await until(has_ended)
    assert (await here.run(run_id)).status is RunStatus.SUCCEEDED
    return run_id


async def asked(here: Workspace, who: Person, typed: str, expected: str) -> str:
    """What a person alone reads who asks in #marketing, once it contains what is expected."""
    assert (await who.command(f"/iterable-sync why {typed}")).ok
    message = await here.slack.wait_for_message("marketing", expected, reader=who)
    assert message.only_for == who.id
    return here.slack.render(message)


async def test_person_is_explained(tmp_path: Path) -> None:
    """The answer names list and identity, or why a person was rejected and what to do; nobody else sees it."""
    async with workspace(tmp_path) as here:
        mapping = await here.mapping(await here.connection())
        run_id = await synced(here, mapping, [person(1), person(2), Member(3, customer_id="c3")])
        maya = here.slack.marketer
        on = await asked(here, maya, "<mailto:P1@example.com|P1@example.com>", "on 1 list")
        assert "SpringShoppers to List 1001" in on.replace("*", "")
        assert "p1@example.com" in on
        rejected = await asked(here, maya, "c3", "rejected last in 1 audience")
        assert "The profile has no email address." in rejected
        assert "Collect the address in mParticle" in rejected
        assert run_id in rejected
        seen_by_others = [
            here.slack.render(each)
            for channel in ("marketing", "sync-alerts")
            for each in here.slack.messages(channel, reader=here.slack.approver)
        ]
        assert not any("p1@example.com" in each for each in seen_by_others)
        async with here.engine.database.read() as db:
            entries = await audit_log.of(db, ["person"])
        assert [(each.actor, each.action) for each in entries] == [(MAYA, audit_log.AuditAction.LOOKED_UP)] * 2
        assert "p1" not in str(entries).lower()
        assert "c3" not in str(entries)


async def test_only_operators_look_up(tmp_path: Path) -> None:
    """Who is no operator is told whom to ask; connections that a person may not see are left out, and that is said."""
    async with workspace(tmp_path) as here:
        mapping = await here.mapping(await here.connection())
        await here.connection("Club", operators=(ADA,))
        await synced(here, mapping, [person(1)])
        oksana_alone = await asked(here, here.slack.operator, "p1@example.com", "on 1 list")
        assert "Left out" in oksana_alone
        assert "Club" in oksana_alone
        ada = await asked(here, here.slack.admin, "p1@example.com", "Nothing is known")
        assert "Left out, because you may not look people up there: Shop." in ada

    (tmp_path / "two").mkdir()
    async with workspace(tmp_path / "two") as here:
        await here.connection(operators=(MAYA,), approvers=(AMIR,))
        refused = await asked(here, here.slack.admin, "p1@example.com", "You may not look people up")
        assert "@Maya Lindqvist" in refused


async def test_nobody_is_found(tmp_path: Path) -> None:
    """Somebody unknown is said to be, with what that may mean; without an argument it says how to ask."""
    async with workspace(tmp_path) as here:
        missing = await asked(here, here.slack.marketer, "p1@example.com", "Nothing is connected to Iterable yet")
        assert "p1" not in missing
        await here.connection()
        missing = await asked(here, here.slack.marketer, "<b>@example.com", "Nothing is known here about")
        assert "`<b>@example.com`" in missing
        assert "another spelling" in missing
        assert "Who do you want to look up?" in await asked(here, here.slack.marketer, "", "Who do you want")


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("<mailto:a@example.com|a@example.com>", "a@example.com"),
        ("<mailto:a@example.com>", "a@example.com"),
        (" `a@example.com` ", "a@example.com"),
        ("<tel:0049301234|0049301234>", "0049301234"),
        ("a&amp;b@example.com", "a&b@example.com"),
        ("customer 7", "customer 7"),
        ("", ""),
    ],
)
def test_links_are_taken_off(typed: str, expected: str) -> None:
    """What Slack or a person put around an address or an id is taken off."""
    assert meant(typed) == expected
