"""Slack failing where nobody looks yet: at the start, while the connection is made again, at an installation."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from bot.slack import clients, connection, oauth_flow
from core.models.run import RunStatus
from sandbox.iterable import running as iterable_running
from sandbox.slack import Slack
from tests.bot.slack.fault_matrix import FAULTS, PASSING, REFUSALS
from tests.bot.slack.following import LONG, card, ended, top
from tests.bot.slack.harness import Workspace, bot, local_slack, workspace
from tests.bot.slack.test_workspaces import install, many_workspaces
from tests.core.harness import people

METHODS = ("apps.connections.open", "auth.revoke", "auth.test", "oauth.v2.access", "response_url", "socket")
_WORDS = (*PASSING, *REFUSALS, "invalid_arguments")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slack is given up on, and tried again, after moments."""
    monkeypatch.setattr(clients, "TIMEOUT_S", 1.0)
    monkeypatch.setattr(connection, "TRY_AGAIN_S", 0.05)
    monkeypatch.setattr(connection, "LOOK_EVERY_S", 0.05)
    monkeypatch.setattr(connection, "PING_EVERY_S", 0.2)
    monkeypatch.setattr(oauth_flow, "WAITS_S", (0.05, 0.05))


def fail(slack: Slack, fault: str, method: str) -> None:
    """Let a method fail once, whatever it is: what is refused at the start may be mended."""
    options = {**FAULTS[fault], "count": 1}
    slack.faults.add(str(options.pop("kind")), method, **options)


async def is_answered(here: Workspace) -> None:
    """Wait until a command is answered."""
    before = len(here.slack.calls("chat.postEphemeral"))
    await here.slack.wait_connected(timeout=LONG)
    assert (await here.slack.marketer.command("/iterable-sync help")).ok
    await here.slack.wait_for(lambda: len(here.slack.calls("chat.postEphemeral")) > before, LONG)


@pytest.mark.parametrize("method", ["auth.test", "apps.connections.open"])
async def test_at_the_start(tmp_path: Path, method: str) -> None:
    """Whatever Slack answers at the start but that a token is wrong, the bot connects as soon as it can."""
    async with iterable_running() as iterable, local_slack() as slack:
        for fault in _WORDS:
            fail(slack, fault, method)
            async with bot(slack, iterable, tmp_path) as here:
                await is_answered(here)
            assert slack.faults.active[-1].struck == 1, fault


@pytest.mark.parametrize("method", ["apps.connections.open", "socket"])
async def test_while_it_connects_again(tmp_path: Path, method: str) -> None:
    """A connection that is lost while Slack gives no other is made as soon as it does."""
    async with workspace(tmp_path) as here:
        for fault in _WORDS if method == "apps.connections.open" else ("5xx",):
            fail(here.slack, fault, method)
            await here.slack.drop_sockets()
            await is_answered(here)
            assert here.slack.faults.active[-1].struck == 1, fault


async def test_link_that_has_expired(tmp_path: Path) -> None:
    """A link that Slack accepts no more while the connection is away is replaced by another one."""
    async with workspace(tmp_path) as here:
        here.slack.faults.add("refused", "socket", count=2)
        await here.slack.drop_sockets()
        await here.slack.wait_for(lambda: here.slack.faults.active[-1].struck, LONG)
        here.slack.delivery.socket_mode.forget_links()
        await is_answered(here)


async def test_first_command_while_slack_is_busy(tmp_path: Path) -> None:
    """A command is acknowledged and answered though Slack does not say whose the token is, in one workspace or many."""
    async with workspace(tmp_path) as here:
        here.slack.faults.add("ratelimited", "auth.test", retry_after=30)
        await is_answered(here)
    async with many_workspaces(tmp_path / "many") as (slack, url, _, _):
        assert await install(slack, url, "ada") == 200
        slack.faults.add("no_answer", "auth.test")
        assert (await slack.marketer.command("/iterable-sync help")).ok
        await slack.wait_for(lambda: slack.calls("chat.postEphemeral"), LONG)


async def test_installation(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """An installation that Slack does not complete at once is completed, or the page says to begin anew; the code that
    stands for a token is in no log."""
    async with many_workspaces(tmp_path) as (slack, url, _, services):
        for fault in ("429", "5xx", "no answer"):
            fail(slack, fault, "oauth.v2.access")
            assert await install(slack, url, "ada") == 200, fault
        for fault in _WORDS:
            fail(slack, fault, "auth.test")
            assert await install(slack, url, "ada") == 200, fault
        for fault in ("answer lost", "channel_not_found"):  # the code is used up, or is not taken
            fail(slack, fault, "oauth.v2.access")
            assert await install(slack, url, "sven") == 401, fault
        assert await install(slack, url, "sven") == 200
        assert await services.clients.for_team("T02HARBOUR") is not None
    assert "code:" not in caplog.text


@pytest.mark.parametrize("fault", ["5xx", "no answer"])
async def test_where_it_is_not_installed(tmp_path: Path, caplog: pytest.LogCaptureFixture, fault: str) -> None:
    """Who can't be told that nothing is installed is told at the next command."""
    async with many_workspaces(tmp_path) as (slack, _, _, _):
        fail(slack, fault, "response_url")
        await slack.marketer.command("/iterable-sync help")
        await slack.wait_for(lambda: slack.faults.active[-1].struck == 1, LONG)
        await slack.marketer.command("/iterable-sync help")
        await slack.wait_for_message("marketing", "no longer installed in this workspace", reader=slack.marketer)
    assert not [each.getMessage() for each in caplog.records if each.exc_info]


@pytest.mark.parametrize("seed", range(2))
async def test_everything_at_once(tmp_path: Path, seed: int) -> None:
    """Where any call may fail in any passing way, a run is approved, succeeds, and is summed up once."""
    async with AsyncExitStack() as stack:
        here = await stack.enter_async_context(workspace(tmp_path))
        message = await card(here, tmp_path, people(range(3)))
        for number, options in enumerate(PASSING.values()):
            kind = str(options["kind"])
            here.slack.faults.add(kind, "*", probability=0.06, seed=10 * seed + number, retry_after=1, status=503)
        amir = here.slack.approver
        from bot.features.ids import ApprovalAction, ApprovalCallback

        async with asyncio.timeout(3 * LONG):
            while not amir.views:
                assert (await amir.click(message, ApprovalAction.REVIEW)).ok
                await here.slack.wait_for(lambda: amir.views or amir.messages("marketing")[-1].only_for, LONG)
            assert (await amir.submit(await amir.open_view(ApprovalCallback.REVIEW))).ok
        run = await ended(here, (await here.latest_run()).id)
        assert run.status is RunStatus.SUCCEEDED
        assert len(here.emails()) == 3
        await here.slack.wait_for(lambda: any("*Synced" in each for each in (*top(here), *_to(here))), 2 * LONG)
        here.slack.faults.clear()
        assert len([each for each in top(here) if "*Synced" in each]) <= 1
        assert len([each for each in _to(here) if "*Synced" in each]) <= 1


def _to(here: Workspace) -> list[str]:
    maya = here.slack.marketer
    return [here.slack.render(each) for each in maya.direct_message.messages if each.bot_id]
