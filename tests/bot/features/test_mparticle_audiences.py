"""mParticle's audiences in Slack: an admin gives access, people map an audience by name, and see both sizes."""

from pathlib import Path

from bot.features.ids import ConnectAction, ConnectBlock, ConnectCallback, MappingAction, MappingBlock, MappingCallback
from core.store import audit_log, mappings, mparticle_accounts
from sandbox.mparticle.lifecycle import running
from sandbox.mparticle.platform import DEFAULT_ACCOUNT, ListedAudience, Platform
from tests.bot.slack.following import choose
from tests.bot.slack.harness import ADA, LIST, TEAM, workspace
from tests.core.mparticle_access import give_access

SECRET_OF_ANOTHER = "a-secret-of-another-client"


def sample_platform() -> Platform:
    """A platform API with audiences of strange names."""
    listed = [
        ListedAudience(8754, "Spring <Shoppers> & *friends*", 4_725, 132, 41),
        ListedAudience(2, "Very long " + "name " * 40, None, None, None),
        ListedAudience(3, "Twins", 3, 0, 0),
        ListedAudience(4, "Twins", 4, 0, 0),
    ]
    return Platform(accounts={DEFAULT_ACCOUNT: listed})


async def test_admin_gives_and_deletes_access(tmp_path: Path) -> None:
    """A wrong secret is refused at its input; the right one is saved with one audit entry, and deleted with another."""
    platform = sample_platform()
    async with running(platform) as local, workspace(tmp_path, mparticle_url=local.url) as bot:
        connection, admin = await bot.connection(), bot.slack.admin
        home = await admin.open_home()
        await bot.slack.wait_for(lambda: "mParticle audiences" in bot.slack.render(home))
        await choose(admin, home, ConnectAction.MPARTICLE)
        view = await admin.open_view(ConnectCallback.MPARTICLE)
        values: dict[str, str] = {
            ConnectBlock.MPARTICLE_ACCOUNT: str(DEFAULT_ACCOUNT),
            ConnectBlock.MPARTICLE_CLIENT: platform.client_id,
            ConnectBlock.MPARTICLE_SECRET: SECRET_OF_ANOTHER,
        }
        await admin.fill(view, values)
        refused = await admin.submit()
        assert ConnectBlock.MPARTICLE_SECRET in refused.errors
        await admin.fill(view, {ConnectBlock.MPARTICLE_SECRET: platform.client_secret})
        assert (await admin.submit()).ok
        await bot.slack.wait_for(lambda: "reads 4 active audiences" in bot.slack.render(admin.view))
        await bot.slack.wait_for(lambda: "Audiences of mParticle account 4711 (US1)" in bot.slack.render(home))
        sent = repr([call.args for call in bot.slack.world.calls])
        assert platform.client_secret not in sent
        assert SECRET_OF_ANOTHER not in sent

        await admin.close()
        await choose(admin, home, ConnectAction.MPARTICLE)
        again = await admin.open_view(ConnectCallback.MPARTICLE)
        await admin.click(again, ConnectAction.MPARTICLE_REMOVE)
        await bot.slack.wait_for(lambda: "no longer reads" in bot.slack.render(admin.view))
        async with bot.engine.database.read() as db:
            assert await mparticle_accounts.of_connection(db, connection.id) is None
            entries = await audit_log.of(db, [f"connection:{connection.id}"])
        assert [(entry.actor, entry.action.value) for entry in entries] == [
            (ADA, "connection.mparticle_connected"),
            (ADA, "connection.mparticle_disconnected"),
        ]


async def test_audience_is_mapped_by_name(tmp_path: Path) -> None:
    """The form offers audiences with their sizes; the mapping has id and name; status shows both sizes."""
    platform = sample_platform()
    async with running(platform) as local, workspace(tmp_path, mparticle_url=local.url) as bot:
        connection, maya = await bot.connection(), bot.slack.marketer
        await give_access(bot.engine, connection, platform, by=ADA, team_id=TEAM)
        await maya.command("/iterable-sync map")
        view = await maya.open_view(MappingCallback.MAP)
        offered = (await maya.suggest(view, MappingAction.AUDIENCE, "<Shoppers>"))[0]
        assert offered["text"]["text"] == "Spring <Shoppers> & *friends*"
        assert offered["description"]["text"] == "4,725 people, +132 and -41 in 24 hours, id 8754"
        everything = await maya.suggest(view, MappingAction.AUDIENCE, "")
        assert [each["value"] for each in everything] == ["id:8754", "id:3", "id:4", "id:2"]
        assert all(len(each["text"]["text"]) <= 75 for each in everything)
        variant = (await maya.suggest(view, MappingAction.AUDIENCE, "Twins - Blue"))[-1]
        assert variant["value"] == "typed:Twins - Blue"

        audience = f"{MappingBlock.LISTED_AUDIENCE.of(connection.id)}/{MappingAction.AUDIENCE}"
        target = f"{MappingBlock.LIST.of(connection.id)}/{MappingAction.LIST}"
        await maya.fill(view, {audience: "id:8754", target: str(LIST)})
        assert (await maya.submit()).ok
        async with bot.engine.database.read() as db:
            (mapping,) = await mappings.of_connection(db, connection.id)
        assert (mapping.audience_id, mapping.audience_name) == ("8754", "Spring <Shoppers> & *friends*")
        await maya.close()
        await maya.command("/iterable-sync status")
        shown = await bot.slack.wait_for_message("marketing", "in mParticle", reader=maya)
        text = "0 people synced, in mParticle: 4,725 people, +132 and -41 in 24 hours"
        assert text in bot.slack.render(shown)


async def test_mparticle_fails(tmp_path: Path) -> None:
    """If mParticle can't be asked, the form says so, takes a typed name, and status works without sizes."""
    platform = sample_platform()
    async with running(platform) as local, workspace(tmp_path, mparticle_url=local.url) as bot:
        connection, maya = await bot.connection(), bot.slack.marketer
        await give_access(bot.engine, connection, platform, by=ADA, team_id=TEAM)
        bot.engine.mparticle_audiences.clear()
        platform.refuse("audiences", 429, times=99, headers={"Retry-After": "60"})
        await maya.command("/iterable-sync map")
        view = await maya.open_view(MappingCallback.MAP)
        offered = await maya.suggest(view, MappingAction.AUDIENCE, "Spring")
        assert [each["value"] for each in offered] == ["trouble", "typed:Spring"]
        assert "limit" in offered[0]["description"]["text"]
        await maya.close()
        await bot.mapping(connection)
        await maya.command("/iterable-sync status")
        shown = await bot.slack.wait_for_message("marketing", "SpringShoppers", reader=maya)
        assert "in mParticle" not in bot.slack.render(shown)
