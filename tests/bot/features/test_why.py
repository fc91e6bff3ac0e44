"""Looking up a person in Slack: privately, for operators and approvers, and with an audit entry without the address."""

from pathlib import Path

import pytest

from bot.features.why.commands import typed_identity
from core.models.run import RunRequest, RunStatus
from core.runs import commands
from core.store import audit_log
from core.store.mappings import AudienceMapping
from sandbox.slack.users.user_driver import Person
from tests.bot.slack.harness import ADA, AMIR, MARKETING, MAYA, TEAM, Workspace, audience, workspace
from tests.core.harness import Member, person, until


async def sync_members(bot: Workspace, mapping: AudienceMapping, members: list[Member]) -> str:
    """Sync these members, and return the run's id."""
    path = bot.engine.settings.data_dir / "audience.csv"
    path.write_bytes(audience(members))
    request = RunRequest(path=str(path), approved=True)
    run_id = await commands.start(bot.engine, mapping, request, by=MAYA, channel=MARKETING, team_id=TEAM)

    async def has_ended() -> bool:
        return not (await bot.run(run_id)).status.is_active

    await until(has_ended)
    assert (await bot.run(run_id)).status is RunStatus.SUCCEEDED
    return run_id


async def ask_why(bot: Workspace, person: Person, typed: str, expected: str) -> str:
    """Type `why` in #marketing, wait for a private reply that contains a text, and return its text."""
    assert (await person.command(f"/iterable-sync why {typed}")).ok
    message = await bot.slack.wait_for_message("marketing", expected, reader=person)
    assert message.only_for == person.id
    return bot.slack.render(message)


async def test_person_is_looked_up(tmp_path: Path) -> None:
    """The private answer shows lists and identity, or the reason of a rejection and what to do."""
    async with workspace(tmp_path) as bot:
        mapping = await bot.mapping(await bot.connection())
        refused_by_iterable = person(4, email="p4@invalid.test")
        members = [person(1), person(2), Member(3, customer_id="c3"), refused_by_iterable]
        run_id = await sync_members(bot, mapping, members)
        maya = bot.slack.marketer
        synced = await ask_why(bot, maya, "<mailto:P1@example.com|P1@example.com>", "on 1 list")
        assert "SpringShoppers → List 1001" in synced.replace("*", "")
        assert "p1@example.com" in synced
        assert "Iterable confirms it." in synced
        assert f"Last added to the list by run {run_id}" in synced.replace("`", "")
        rejected = await ask_why(bot, maya, "c3", "last rejected in 1 audience")
        assert "No email address." in rejected
        assert "collect the address in mParticle" in rejected
        assert run_id in rejected
        refused = await ask_why(bot, maya, "p4@invalid.test", "Iterable refused the email")
        assert "Last added" not in refused
        seen_by_others = [
            bot.slack.render(each)
            for channel in ("marketing", "sync-alerts")
            for each in bot.slack.messages(channel, reader=bot.slack.approver)
        ]
        assert not any("p1@example.com" in each for each in seen_by_others)
        async with bot.engine.database.read() as db:
            entries = await audit_log.of(db, ["person"])
        assert [(each.actor, each.action) for each in entries] == [(MAYA, audit_log.AuditAction.LOOKED_UP)] * 3
        assert "p1" not in str(entries).lower()
        assert "c3" not in str(entries)


@pytest.mark.extended
async def test_iterable_is_asked(tmp_path: Path) -> None:
    """The answer says if Iterable disagrees with the ledger, and what it means if Iterable can't be asked."""
    async with workspace(tmp_path) as bot:
        mapping = await bot.mapping(await bot.connection())
        await sync_members(bot, mapping, [person(1), person(2)])
        people = bot.iterable.state.project().people
        target = bot.iterable.state.lists[mapping.list_id]
        target.leave([people.emails.first["p1@example.com"]], 0.0)
        target.join([people.add("guest@example.com", None)], 0.0)
        maya = bot.slack.marketer
        gone = await ask_why(bot, maya, "p1@example.com", "on no list")
        assert "Iterable says that they are not on it" in gone
        guest = await ask_why(bot, maya, "guest@example.com", "on 1 list")
        assert "not through a sync from here" in guest
        missing = await ask_why(bot, maya, "p9@example.com", "No record of")
        assert "Iterable knows no one under this in Shop" in missing
        bot.iterable.state.keys[bot.iterable.key].status = "revoked"
        refused = await ask_why(bot, maya, "p2@example.com", "Iterable could not be asked for Shop")
        assert "on 1 list" in refused


async def test_only_operators_look_up(tmp_path: Path) -> None:
    """A person who is not an operator learns who may look people up, and connections without that right are listed as
    left out."""
    async with workspace(tmp_path) as bot:
        mapping = await bot.mapping(await bot.connection())
        await bot.connection("Club", operators=(ADA,))
        await sync_members(bot, mapping, [person(1)])
        oksana_alone = await ask_why(bot, bot.slack.operator, "p1@example.com", "on 1 list")
        assert "Not included" in oksana_alone
        assert "Club" in oksana_alone
        ada = await ask_why(bot, bot.slack.admin, "p1@example.com", "No record of")
        assert "Not included, because you can't look people up there: Shop." in ada

    (tmp_path / "two").mkdir()
    async with workspace(tmp_path / "two") as bot:
        await bot.connection(operators=(MAYA,), approvers=(AMIR,))
        refused = await ask_why(bot, bot.slack.admin, "p1@example.com", "You can't look people up")
        assert "@Maya Lindqvist" in refused


async def test_unknown_person(tmp_path: Path) -> None:
    """The answer about an unknown person gives possible reasons; without an argument it says how to ask."""
    async with workspace(tmp_path) as bot:
        missing = await ask_why(bot, bot.slack.marketer, "p1@example.com", "No Iterable project is connected yet")
        assert "p1" not in missing
        await bot.connection()
        missing = await ask_why(bot, bot.slack.marketer, "<b>@example.com", "No record of")
        assert "`<b>@example.com`" in missing
        assert "spells the address differently" in missing
        assert "Who?" in await ask_why(bot, bot.slack.marketer, "", "Who?")


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
def test_slack_markup_is_removed(typed: str, expected: str) -> None:
    """The markup that Slack puts around an address or an id is removed."""
    assert typed_identity(typed) == expected
