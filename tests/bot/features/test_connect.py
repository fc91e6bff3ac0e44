"""Connecting an Iterable project: the form, the key that is tried, who may, and replacing the key."""

from pathlib import Path
from typing import Any

import pytest

from bot.features.home import publisher
from bot.features.ids import ConnectAction, ConnectBlock, ConnectCallback
from bot.slack import admins, submission
from core.models.run import RunRequest, RunStatus
from core.store import alerts, audit_log, connections
from core.store.connections import Connection
from sandbox.iterable import Fault
from sandbox.slack.workspace.models import View
from tests.bot.slack.harness import ADA, ALERTS, AMIR, MAYA, TEAM, Workspace, audience, workspace
from tests.core.harness import Member, queue_run

BAD, NEW = "not-a-key-of-this-project", "another-key-7777"


def details(key: str, **changed: Any) -> dict[str, Any]:
    """What a person puts into the form."""
    values: dict[str, Any] = {
        ConnectBlock.NAME: "Shop",
        ConnectBlock.KEY: key,
        ConnectBlock.CHANNEL: ALERTS,
        ConnectBlock.OPERATORS: [MAYA],
        ConnectBlock.APPROVERS: [AMIR],
    }
    return {**values, **changed}


async def saved(here: Workspace) -> list[Connection]:
    """The connections in the database."""
    async with here.engine.database.read() as db:
        return await connections.everyone(db)


async def entries(here: Workspace, connection: Connection) -> list[audit_log.AuditEntry]:
    """What the audit table says about a connection."""
    async with here.engine.database.read() as db:
        return await audit_log.of(db, [f"connection:{connection.id}"])


async def shown(here: Workspace, title: str) -> View:
    """Wait until the admin's modal has this title."""
    admin = here.slack.admin
    return await here.slack.wait_for(lambda: admin.view if admin.views and admin.view.title == title else None)


async def connect_form(here: Workspace) -> View:
    """Open the form, as the admin."""
    await here.slack.admin.command("/iterable-sync connect")
    return await here.slack.admin.open_view(ConnectCallback.CONNECT)


def everything_that_was_shown(here: Workspace) -> str:
    """All that the bot told Slack: no key may be in it."""
    return repr([call.args for call in here.slack.world.calls])


@pytest.fixture
def patient_form(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let forms wait for Iterable's answer, however busy the machine is, before they say that they wait."""
    monkeypatch.setattr(submission, "ACK_WITHIN_S", 2.5)


async def test_connect(tmp_path: Path) -> None:
    """An admin connects a project: the key is tried, the connection saved and audited, and what comes next is said."""
    async with workspace(tmp_path) as here:
        form = await connect_form(here)
        assert "placeholder.email" in here.slack.render(form)
        assert "encrypted" in here.slack.render(form)
        await here.slack.admin.fill(
            form, {**details(here.iterable.key), ConnectBlock.RATE: "2.5", ConnectBlock.USER_ID: "mpid"}
        )
        await here.slack.admin.submit(form)

        done = await shown(here, "Connected")
        assert f"lists that can be synced to, key …{here.iterable.key[-4:]}" in here.slack.render(done)
        assert "[Map an audience]" in here.slack.render(done)
        (connection,) = await saved(here)
        assert (connection.name, connection.requests_per_second, connection.user_id_field.value) == (
            "Shop",
            2.5,
            "mpid",
        )
        assert (connection.team_id, connection.alert_channel) == (TEAM, ALERTS)
        assert (connection.operators, connection.approvers, connection.self_approval) == ((MAYA,), (AMIR,), False)
        (entry,) = await entries(here, connection)
        assert (entry.actor, entry.action, entry.team_id) == (ADA, audit_log.AuditAction.CONNECTION_ADDED, TEAM)
        assert here.iterable.key not in repr(entry)
        assert here.iterable.key not in everything_that_was_shown(here)


@pytest.mark.usefixtures("patient_form")
async def test_errors_at_their_field(tmp_path: Path) -> None:
    """What is wrong is said beside the input that it concerns, and everything that was put in stays."""
    async with workspace(tmp_path) as here:
        await here.connection("Shop")
        form = await connect_form(here)
        await here.slack.admin.fill(form, {**details("with blanks in it"), ConnectBlock.NAME: "environment-x"})
        refused = await here.slack.admin.submit(form)
        assert set(refused.errors) == {ConnectBlock.NAME, ConnectBlock.KEY}

        await here.slack.admin.fill(form, details(BAD, **{ConnectBlock.NAME: "Other"}))
        refused = await here.slack.admin.submit(form)
        assert "Iterable refuses the API key" in refused.errors[ConnectBlock.KEY]

        await here.slack.admin.fill(form, details(here.iterable.key))
        refused = await here.slack.admin.submit(form)
        assert 'There is a connection "Shop" already' in refused.errors[ConnectBlock.NAME]
        assert len(await saved(here)) == 1


async def test_slow_iterable(tmp_path: Path) -> None:
    """Where Iterable takes long, the form says that the key is being tried, and then what came of it; never the key."""
    async with workspace(tmp_path) as here:
        here.iterable.faults.add(Fault("slow", path="/api/lists", delay=1.0, times=2))
        form = await connect_form(here)
        await here.slack.admin.fill(form, details(BAD, **{ConnectBlock.RATE: "7"}))
        await here.slack.admin.submit(form)
        assert "Trying the key" in here.slack.render(here.slack.admin.view)

        failed = await shown(here, "Not connected")
        assert "Iterable refuses the API key" in here.slack.render(failed)
        await here.slack.admin.click(failed, ConnectAction.AGAIN)
        form = await here.slack.admin.open_view(ConnectCallback.CONNECT)
        assert {"Shop", "7", "@Amir Haddad"} <= set(here.slack.render(form).replace("[", "]").split("]"))
        await here.slack.admin.fill(form, {ConnectBlock.KEY: here.iterable.key})
        await here.slack.admin.submit(form)
        assert "Trying the key" in here.slack.render(here.slack.admin.view)

        await shown(here, "Connected")
        assert len(await saved(here)) == 1
        assert BAD not in everything_that_was_shown(here)
        assert here.iterable.key not in everything_that_was_shown(here)


async def test_closed_while_trying(tmp_path: Path) -> None:
    """Who closes the form while the key is being tried is told in a direct message what came of it."""
    async with workspace(tmp_path) as here:
        here.iterable.faults.add(Fault("slow", path="/api/lists", delay=1.0, times=1))
        form = await connect_form(here)
        await here.slack.admin.fill(form, details(here.iterable.key))
        await here.slack.admin.submit(form)
        await here.slack.admin.close()
        await here.slack.wait_for_message("dm", "Connected: ", reader=here.slack.admin)


async def test_only_admins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is no admin is told whom to ask for what, and can't submit a form that was opened before either."""
    async with workspace(tmp_path) as here:
        await here.slack.marketer.command("/iterable-sync connect")
        told = await here.slack.wait_for_message("marketing", "Nothing is connected", reader=here.slack.marketer)
        assert "Ask one of them to type `/iterable-sync connect`" in here.slack.render(told)
        assert not here.slack.marketer.views

        form = await connect_form(here)
        await here.slack.admin.fill(form, details(here.iterable.key))
        here.slack.admin.user.is_admin = here.slack.admin.user.is_owner = False
        monkeypatch.setattr(admins, "FRESH_S", -1.0)  # a minute passes
        await here.slack.admin.submit(form)
        told_so = await shown(here, "Not connected")
        assert "Only an admin or owner" in here.slack.render(told_so)
        assert await saved(here) == []


async def test_edit(tmp_path: Path) -> None:
    """An admin changes everything but the key; what it was before and is now is audited."""
    async with workspace(tmp_path) as here:
        connection = await here.connection()
        home = await here.slack.admin.open_home()
        await here.slack.admin.click(home, ConnectAction.EDIT)
        form = await here.slack.admin.open_view(ConnectCallback.EDIT)
        await here.slack.admin.fill(
            form, {ConnectBlock.NAME: "Store", ConnectBlock.RATE: "0.5", ConnectBlock.SELF_APPROVAL: ["yes"]}
        )
        await here.slack.admin.submit(form)
        done = await shown(here, "Saved")

        assert "another name, rate, rule about approving one's own" in here.slack.render(done)
        (now,) = await saved(here)
        assert (now.name, now.requests_per_second, now.self_approval) == ("Store", 0.5, True)
        assert (now.api_key, now.operators, now.approvers) == (
            connection.api_key,
            connection.operators,
            connection.approvers,
        )
        (entry,) = await entries(here, connection)
        assert entry.action is audit_log.AuditAction.CONNECTION_CHANGED
        assert entry.before == {"name": "Shop", "rate": 0.0, "self_approval": False}
        assert entry.after == {"name": "Store", "rate": 0.5, "self_approval": True}


@pytest.mark.usefixtures("patient_form")
async def test_another_data_center(tmp_path: Path) -> None:
    """Another data center is saved only where the key works there."""
    async with workspace(tmp_path) as here:
        await here.connection()
        project = here.iterable.state.keys[here.iterable.key].project
        here.iterable.state.add_key(here.iterable.key, project, "revoked")
        home = await here.slack.admin.open_home()
        await here.slack.admin.click(home, ConnectAction.EDIT)
        form = await here.slack.admin.open_view(ConnectCallback.EDIT)
        await here.slack.admin.fill(form, {ConnectBlock.DATA_CENTER: "eu"})
        refused = await here.slack.admin.submit(form)
        assert "Iterable refuses the API key" in refused.errors[ConnectBlock.DATA_CENTER]
        assert [each.data_center for each in await saved(here)] == ["us"]

        here.iterable.state.add_key(here.iterable.key, project, "active")
        await here.slack.admin.submit(form)
        await shown(here, "Saved")
        assert [each.data_center for each in await saved(here)] == ["eu"]


@pytest.mark.usefixtures("patient_form")
async def test_replace_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new key takes the place of a refused one, ends its alert, and the runs that it stopped can be retried."""
    monkeypatch.setattr(publisher, "LOOK_EVERY_S", 0.05)
    monkeypatch.setattr(publisher, "APART_S", 0.1)
    async with workspace(tmp_path) as here:
        connection = await here.connection()
        mapping = await here.mapping(connection)
        project = here.iterable.state.keys[here.iterable.key].project
        here.iterable.state.add_key(here.iterable.key, project, "revoked")
        here.iterable.state.add_key(NEW, project)
        request = RunRequest(path=str(tmp_path / "audience.csv"))
        (tmp_path / "audience.csv").write_bytes(audience([Member(1, "p1@example.com", "c1")]))
        run_id = await queue_run(here.engine, connection, mapping, request, started_by=MAYA)
        home = await here.slack.admin.open_home()
        await here.slack.wait_for(lambda: "1 open alert" in here.slack.render(home))
        assert "key refused by Iterable since" in here.slack.render(home)
        assert (await here.run(run_id)).status is RunStatus.FAILED

        await here.slack.admin.click(home, f"{_row_of(home, ConnectAction.EDIT)}/{ConnectAction.KEY}")
        form = await here.slack.admin.open_view(ConnectCallback.KEY)
        await here.slack.admin.fill(form, {ConnectBlock.KEY: BAD})
        refused = await here.slack.admin.submit(form)
        assert "Iterable refuses the API key" in refused.errors[ConnectBlock.KEY]
        await here.slack.admin.fill(form, {ConnectBlock.KEY: NEW})
        await here.slack.admin.submit(form)
        done = await shown(here, "Key replaced")

        assert "1 run stopped because of the former key" in here.slack.render(done)
        (now,) = await saved(here)
        assert (now.key_last4, now.key_rejected_at) == ("7777", None)
        async with here.engine.database.read() as db:
            assert await alerts.open_of(db, connection.id, None) is None
        (entry,) = await entries(here, connection)
        assert entry.action is audit_log.AuditAction.KEY_REPLACED
        assert NEW not in repr(entry)
        assert NEW not in everything_that_was_shown(here)


def _row_of(view: View, action: str) -> str:
    """The id of the block that has a button."""
    rows = (each for each in view.blocks if each["type"] == "actions")
    return next(str(each["block_id"]) for each in rows if action in [one["action_id"] for one in each["elements"]])
