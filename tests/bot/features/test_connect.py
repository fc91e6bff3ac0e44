"""Connecting an Iterable project: the form, the test of the key, permissions, and replacing the key."""

from pathlib import Path
from typing import Any

import pytest

from bot.features.home import publisher
from bot.features.ids import ConnectAction, ConnectBlock, ConnectCallback
from bot.slack import admins, submission
from core.models.run import RunRequest, RunStatus
from core.store import alerts, audit_log, connections
from core.store.alert_kinds import AlertKind
from core.store.connections import DEFAULT_RATE, Connection
from sandbox.iterable import Fault
from sandbox.slack.workspace.models import View
from tests.bot.slack.following import choose, open_options
from tests.bot.slack.harness import ADA, ALERTS, AMIR, MAYA, TEAM, Workspace, audience, workspace
from tests.core.harness import HELD_S, Member, queue_run

BAD, NEW = "not-a-key-of-this-project", "another-key-7777"


def details(key: str, **changed: Any) -> dict[str, Any]:
    """Return the values that a person enters into the form."""
    values: dict[str, Any] = {
        ConnectBlock.NAME: "Shop",
        ConnectBlock.KEY: key,
        ConnectBlock.CHANNEL: ALERTS,
        ConnectBlock.OPERATORS: [MAYA],
        ConnectBlock.APPROVERS: [AMIR],
    }
    return {**values, **changed}


async def saved_connections(bot: Workspace) -> list[Connection]:
    """Return the connections in the database."""
    async with bot.engine.database.read() as db:
        return await connections.everyone(db)


async def entries(bot: Workspace, connection: Connection) -> list[audit_log.AuditEntry]:
    """Return the audit entries of a connection."""
    async with bot.engine.database.read() as db:
        return await audit_log.of(db, [f"connection:{connection.id}"])


async def wait_for_modal(bot: Workspace, title: str) -> View:
    """Wait until the admin's modal has this title, and return it."""
    admin = bot.slack.admin
    return await bot.slack.wait_for(lambda: admin.view if admin.views and admin.view.title == title else None)


async def connect_form(bot: Workspace) -> View:
    """Open the form as the admin, with all its inputs."""
    await bot.slack.admin.command("/iterable-sync connect")
    return await open_options(bot.slack.admin, await bot.slack.admin.open_view(ConnectCallback.CONNECT))


def everything_sent_to_slack(bot: Workspace) -> str:
    """Return the arguments of all calls to Slack. They must not contain a key."""
    return repr([call.args for call in bot.slack.world.calls])


async def test_connect(tmp_path: Path) -> None:
    """An admin connects a project: the key is tested, the connection saved and audited, and the modal offers the next
    step."""
    async with workspace(tmp_path) as bot:
        form = await connect_form(bot)
        assert "placeholder.email" in bot.slack.render(form)
        assert "encrypted" in bot.slack.render(form)
        await bot.slack.admin.fill(
            form, {**details(bot.iterable.key), ConnectBlock.RATE: "2.5", ConnectBlock.USER_ID: "mpid"}
        )
        await bot.slack.admin.submit(form)

        modal = await wait_for_modal(bot, "Connected")
        assert f"lists available, key …{bot.iterable.key[-4:]}" in bot.slack.render(modal)
        assert "[Map an audience]" in bot.slack.render(modal)
        (connection,) = await saved_connections(bot)
        assert (connection.name, connection.requests_per_second, connection.user_id_field.value) == (
            "Shop",
            2.5,
            "mpid",
        )
        assert (connection.team_id, connection.alert_channel) == (TEAM, ALERTS)
        assert (connection.operators, connection.approvers, connection.self_approval) == ((MAYA,), (AMIR,), False)
        (entry,) = await entries(bot, connection)
        assert (entry.actor, entry.action, entry.team_id) == (ADA, audit_log.AuditAction.CONNECTION_ADDED, TEAM)
        assert bot.iterable.key not in repr(entry)
        assert bot.iterable.key not in everything_sent_to_slack(bot)


async def test_errors_at_their_field(tmp_path: Path) -> None:
    """Each error appears at its input, and the form keeps the entered values."""
    async with workspace(tmp_path) as bot:
        await bot.connection("Shop")
        form = await connect_form(bot)
        await bot.slack.admin.fill(form, {**details("with blanks in it"), ConnectBlock.NAME: "environment-x"})
        refused = await bot.slack.admin.submit(form)
        assert set(refused.errors) == {ConnectBlock.NAME, ConnectBlock.KEY}

        await bot.slack.admin.fill(form, details(BAD, **{ConnectBlock.NAME: "Other"}))
        refused = await bot.slack.admin.submit(form)
        assert "Iterable refuses the API key" in refused.errors[ConnectBlock.KEY]

        await bot.slack.admin.fill(form, details(bot.iterable.key))
        refused = await bot.slack.admin.submit(form)
        assert 'There is a connection "Shop" already' in refused.errors[ConnectBlock.NAME]
        assert len(await saved_connections(bot)) == 1


async def test_slow_iterable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If Iterable is slow, the form first says that the key is being tested, and then shows the result without the
    key."""
    async with workspace(tmp_path) as bot:
        monkeypatch.setattr(submission, "ACK_WITHIN_S", 0.1)
        slow = Fault("slow", path="/api/lists", delay=HELD_S)
        bot.iterable.faults.set([slow])
        form = await connect_form(bot)
        await bot.slack.admin.fill(form, details(BAD, **{ConnectBlock.RATE: "7"}))
        await bot.slack.admin.submit(form)
        assert "Checking the key" in bot.slack.render(bot.slack.admin.view)

        bot.iterable.faults.clear()
        failed = await wait_for_modal(bot, "Not connected")
        assert "Iterable refuses the API key" in bot.slack.render(failed)
        await bot.slack.admin.click(failed, ConnectAction.AGAIN)
        form = await bot.slack.admin.open_view(ConnectCallback.CONNECT)
        assert {"Shop", "7", "@Amir Haddad"} <= set(bot.slack.render(form).replace("[", "]").split("]"))
        await bot.slack.admin.fill(form, {ConnectBlock.KEY: bot.iterable.key})
        bot.iterable.faults.set([slow])
        await bot.slack.admin.submit(form)
        assert "Checking the key" in bot.slack.render(bot.slack.admin.view)

        bot.iterable.faults.clear()
        await wait_for_modal(bot, "Connected")
        assert len(await saved_connections(bot)) == 1
        assert BAD not in everything_sent_to_slack(bot)
        assert bot.iterable.key not in everything_sent_to_slack(bot)


async def test_closed_while_trying(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A person who closes the form while the key is tested gets the result as a direct message."""
    async with workspace(tmp_path) as bot:
        monkeypatch.setattr(submission, "ACK_WITHIN_S", 0.1)
        bot.iterable.faults.add(Fault("slow", path="/api/lists", delay=HELD_S))
        await bot.slack.admin.command("/iterable-sync connect")
        form = await bot.slack.admin.open_view(ConnectCallback.CONNECT)
        await bot.slack.admin.fill(form, {ConnectBlock.NAME: "Shop", ConnectBlock.KEY: bot.iterable.key})
        await bot.slack.admin.submit(form)
        await bot.slack.admin.close()
        bot.iterable.faults.clear()
        await bot.slack.wait_for_message("dm", "Connected: ", reader=bot.slack.admin)
        (connection,) = await saved_connections(bot)  # what was not shown has its default
        assert (connection.requests_per_second, connection.user_id_field.value) == (DEFAULT_RATE, "customerId")
        assert (connection.operators, connection.approvers) == ((), (ADA,))


async def test_only_admins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A person who is not an admin learns who can connect, and can't submit a form that was opened earlier."""
    async with workspace(tmp_path) as bot:
        await bot.slack.marketer.command("/iterable-sync connect")
        reply = await bot.slack.wait_for_message(
            "marketing", "No Iterable project is connected", reader=bot.slack.marketer
        )
        assert "Ask one of them to type `/iterable-sync connect`" in bot.slack.render(reply)
        assert not bot.slack.marketer.views

        form = await connect_form(bot)
        await bot.slack.admin.fill(form, details(bot.iterable.key))
        bot.slack.admin.user.is_admin = bot.slack.admin.user.is_owner = False
        monkeypatch.setattr(admins, "FRESH_S", -1.0)  # a minute passes
        await bot.slack.admin.submit(form)
        modal = await wait_for_modal(bot, "Not connected")
        assert "Only an admin or owner" in bot.slack.render(modal)
        assert await saved_connections(bot) == []


async def test_edit(tmp_path: Path) -> None:
    """An admin changes all settings but the key, and the audit entry has the values before and after."""
    async with workspace(tmp_path) as bot:
        connection = await bot.connection()
        home = await bot.slack.admin.open_home()
        await choose(bot.slack.admin, home, ConnectAction.EDIT)
        form = await bot.slack.admin.open_view(ConnectCallback.EDIT)
        await bot.slack.admin.fill(
            form,
            {
                ConnectBlock.NAME: "Store",
                ConnectBlock.RATE: "0.5",
                ConnectBlock.SELF_APPROVAL: ["yes"],
                ConnectBlock.MERGING: ["yes"],
            },
        )
        await bot.slack.admin.submit(form)
        modal = await wait_for_modal(bot, "Saved")

        assert "Changed: name, rate, self-approval, merging of profiles" in bot.slack.render(modal)
        (changed,) = await saved_connections(bot)
        assert (changed.name, changed.requests_per_second, changed.self_approval) == ("Store", 0.5, True)
        assert (changed.api_key, changed.operators, changed.approvers) == (
            connection.api_key,
            connection.operators,
            connection.approvers,
        )
        (entry,) = await entries(bot, connection)
        assert entry.action is audit_log.AuditAction.CONNECTION_CHANGED
        assert changed.merges_profiles
        assert entry.before == {"name": "Shop", "rate": 0.0, "self_approval": False, "merge_profiles": False}
        assert entry.after == {"name": "Store", "rate": 0.5, "self_approval": True, "merge_profiles": True}


async def test_another_data_center(tmp_path: Path) -> None:
    """Another data center is saved only if the key works there."""
    async with workspace(tmp_path) as bot:
        await bot.connection()
        project = bot.iterable.state.keys[bot.iterable.key].project
        bot.iterable.state.add_key(bot.iterable.key, project, "revoked")
        home = await bot.slack.admin.open_home()
        await choose(bot.slack.admin, home, ConnectAction.EDIT)
        form = await bot.slack.admin.open_view(ConnectCallback.EDIT)
        await bot.slack.admin.fill(form, {ConnectBlock.DATA_CENTER: "eu"})
        refused = await bot.slack.admin.submit(form)
        assert "Iterable refuses the API key" in refused.errors[ConnectBlock.DATA_CENTER]
        assert [each.data_center for each in await saved_connections(bot)] == ["us"]

        bot.iterable.state.add_key(bot.iterable.key, project, "active")
        await bot.slack.admin.submit(form)
        await wait_for_modal(bot, "Saved")
        assert [each.data_center for each in await saved_connections(bot)] == ["eu"]


async def test_replace_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new key replaces a refused one and closes its alert, and the stopped runs can be retried."""
    monkeypatch.setattr(publisher, "LOOK_EVERY_S", 0.05)
    monkeypatch.setattr(publisher, "APART_S", 0.1)
    async with workspace(tmp_path) as bot:
        connection = await bot.connection()
        mapping = await bot.mapping(connection)
        project = bot.iterable.state.keys[bot.iterable.key].project
        bot.iterable.state.add_key(bot.iterable.key, project, "revoked")
        bot.iterable.state.add_key(NEW, project)
        request = RunRequest(path=str(tmp_path / "audience.csv"))
        (tmp_path / "audience.csv").write_bytes(audience([Member(1, "p1@example.com", "c1")]))
        run_id = await queue_run(bot.engine, connection, mapping, request, started_by=MAYA)
        home = await bot.slack.admin.open_home()
        await bot.slack.wait_for(lambda: "1 open alert" in bot.slack.render(home))
        assert "key refused by Iterable since" in bot.slack.render(home)
        assert (await bot.run(run_id)).status is RunStatus.FAILED

        await bot.slack.admin.click(home, f"{home.blocks[-1]['block_id']}/{ConnectAction.KEY}")
        form = await bot.slack.admin.open_view(ConnectCallback.KEY)
        await bot.slack.admin.fill(form, {ConnectBlock.KEY: BAD})
        refused = await bot.slack.admin.submit(form)
        assert "Iterable refuses the API key" in refused.errors[ConnectBlock.KEY]
        await bot.slack.admin.fill(form, {ConnectBlock.KEY: NEW})
        await bot.slack.admin.submit(form)
        modal = await wait_for_modal(bot, "Key replaced")

        assert "1 sync stopped because of the old key" in bot.slack.render(modal)
        (changed,) = await saved_connections(bot)
        assert (changed.key_last4, changed.key_rejected_at) == ("7777", None)
        async with bot.engine.database.read() as db:
            assert await alerts.open_of(db, connection.id, None, AlertKind.FAILURE) is None
        (entry,) = await entries(bot, connection)
        assert entry.action is audit_log.AuditAction.KEY_REPLACED
        assert NEW not in repr(entry)
        assert NEW not in everything_sent_to_slack(bot)
