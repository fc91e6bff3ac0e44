"""Slack fails at the start, while the connection is made again, and during an installation."""

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
from tests.bot.slack.harness import Workspace, local_slack, running_bot, workspace
from tests.bot.slack.test_workspaces import install, many_workspaces
from tests.core.databases import sampled
from tests.core.harness import people

METHODS = (
    "apps.connections.open",
    "auth.revoke",
    "auth.test",
    "oauth.v2.access",
    "response_url",
    "socket",
    "users.lookupByEmail",
)
_WORDS = (*PASSING, *REFUSALS, "invalid_arguments")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten timeouts and retries."""
    monkeypatch.setattr(clients, "TIMEOUT_S", 1.0)
    monkeypatch.setattr(connection, "TRY_AGAIN_S", 0.05)
    monkeypatch.setattr(connection, "LOOK_EVERY_S", 0.05)
    monkeypatch.setattr(connection, "PING_EVERY_S", 0.2)
    monkeypatch.setattr(oauth_flow, "WAITS_S", (0.05, 0.05))


def fail(slack: Slack, fault: str, method: str) -> None:
    """Let a method fail once with a fault, even with one that would last."""
    options = {**FAULTS[fault], "count": 1}
    slack.faults.add(str(options.pop("kind")), method, **options)


async def wait_for_answer(bot: Workspace) -> None:
    """Type a command, and wait until the bot has answered it."""
    before = len(bot.slack.calls("chat.postEphemeral"))
    await bot.slack.wait_connected(timeout=LONG)
    assert (await bot.slack.marketer.command("/iterable-sync help")).ok
    await bot.slack.wait_for(lambda: len(bot.slack.calls("chat.postEphemeral")) > before, LONG)


@pytest.mark.extended
@pytest.mark.parametrize("method", sampled(["auth.test", "apps.connections.open"]))
async def test_at_the_start(tmp_path: Path, method: str) -> None:
    """The bot connects as soon as it can, whatever Slack answers at the start, except that a token is wrong."""
    async with iterable_running() as iterable, local_slack() as slack:
        for fault in _WORDS:
            fail(slack, fault, method)
            async with running_bot(slack, iterable, tmp_path) as bot:
                await wait_for_answer(bot)
            assert slack.faults.active[-1].struck == 1, fault


@pytest.mark.parametrize("method", sampled(["apps.connections.open", "socket"]))
async def test_reconnecting(tmp_path: Path, method: str) -> None:
    """A lost connection is made again as soon as Slack gives a new one."""
    async with workspace(tmp_path) as bot:
        for fault in _WORDS if method == "apps.connections.open" else ("5xx",):
            fail(bot.slack, fault, method)
            await bot.slack.drop_sockets()
            await wait_for_answer(bot)
            assert bot.slack.faults.active[-1].struck == 1, fault


async def test_link_that_has_expired(tmp_path: Path) -> None:
    """A link for a connection that has expired is replaced by a new one."""
    async with workspace(tmp_path) as bot:
        bot.slack.faults.add("refused", "socket", count=2)
        await bot.slack.drop_sockets()
        await bot.slack.wait_for(lambda: bot.slack.faults.active[-1].struck, LONG)
        bot.slack.delivery.socket_mode.forget_links()
        await wait_for_answer(bot)


async def test_first_command_while_slack_is_busy(tmp_path: Path) -> None:
    """A command is acknowledged and answered even if auth.test fails, in one workspace and in many."""
    async with workspace(tmp_path) as bot:
        bot.slack.faults.add("ratelimited", "auth.test", retry_after=30)
        await wait_for_answer(bot)
    async with many_workspaces(tmp_path / "many") as (slack, url, _, _):
        assert await install(slack, url, "ada") == 200
        slack.faults.add("no_answer", "auth.test")
        assert (await slack.marketer.command("/iterable-sync help")).ok
        await slack.wait_for(lambda: slack.calls("chat.postEphemeral"), LONG)


async def test_installation(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """An installation that Slack does not complete at once is completed or can be started again, and its code is in no
    log."""
    async with many_workspaces(tmp_path) as (slack, url, _, services):
        for fault in ("429", "5xx", "no answer"):
            fail(slack, fault, "oauth.v2.access")
            assert await install(slack, url, "ada") == 200, fault
        for fault in _WORDS:
            fail(slack, fault, "auth.test")
            assert await install(slack, url, "ada") == 200, fault
        for fault in ("answer lost", "channel_not_found"):  # the code has been used, or Slack refuses it
            fail(slack, fault, "oauth.v2.access")
            assert await install(slack, url, "sven") == 401, fault
        assert await install(slack, url, "sven") == 200
        assert await services.clients.for_team("T02HARBOUR") is not None
    assert "code:" not in caplog.text


@pytest.mark.parametrize("fault", ["5xx", "no answer"])
async def test_app_that_is_not_installed(tmp_path: Path, caplog: pytest.LogCaptureFixture, fault: str) -> None:
    """If the answer that the app is not installed is lost, the next command gets it."""
    async with many_workspaces(tmp_path) as (slack, _, _, _):
        fail(slack, fault, "response_url")
        await slack.marketer.command("/iterable-sync help")
        await slack.wait_for(lambda: slack.faults.active[-1].struck == 1, LONG)
        await slack.marketer.command("/iterable-sync help")
        await slack.wait_for_message("marketing", "no longer installed in this workspace", reader=slack.marketer)
    assert not [each.getMessage() for each in caplog.records if each.exc_info]


@pytest.mark.extended
@pytest.mark.parametrize("seed", range(2))
async def test_everything_at_once(tmp_path: Path, seed: int) -> None:
    """If any call may fail transiently, a run is still approved, succeeds, and is summarized once."""
    async with AsyncExitStack() as stack:
        bot = await stack.enter_async_context(workspace(tmp_path))
        message = await card(bot, tmp_path, people(range(3)))
        for number, options in enumerate(PASSING.values()):
            kind = str(options["kind"])
            bot.slack.faults.add(kind, "*", probability=0.06, seed=10 * seed + number, retry_after=1, status=503)
        amir = bot.slack.approver
        from bot.features.ids import ApprovalAction, ApprovalCallback

        async with asyncio.timeout(3 * LONG):
            while not amir.views:
                assert (await amir.click(message, ApprovalAction.REVIEW)).ok
                await bot.slack.wait_for(lambda: amir.views or amir.messages("marketing")[-1].only_for, LONG)
            outcome = await amir.submit(await amir.open_view(ApprovalCallback.REVIEW))
            while outcome.error == "operation_timeout":  # Slack tells the person to try again
                outcome = await amir.submit(await amir.open_view(ApprovalCallback.REVIEW))
            assert outcome.ok
        run = await ended(bot, (await bot.latest_run()).id)
        assert run.status is RunStatus.SUCCEEDED
        assert len(bot.emails()) == 3
        await bot.slack.wait_for(
            lambda: any("Synced" in each for each in (*top(bot), *_direct_messages(bot))), 2 * LONG
        )
        bot.slack.faults.clear()
        assert len([each for each in top(bot) if "Synced" in each]) <= 1
        assert len([each for each in _direct_messages(bot) if "Synced" in each]) <= 1


def _direct_messages(bot: Workspace) -> list[str]:
    maya = bot.slack.marketer
    return [bot.slack.render(each) for each in maya.direct_message.messages if each.bot_id]
