"""`iterable-sync demo`: the tour from beginning to end, and the page in the browser."""

import json
import os
import signal
import subprocess
import tempfile
import urllib.request
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bot.demo.environment import LIST_NAME, demo_environment, post_welcome_messages
from bot.features.ids import (
    ApprovalAction,
    ApprovalCallback,
    ConnectBlock,
    ConnectCallback,
    MappingAction,
    MappingBlock,
    MappingCallback,
    RunCallback,
)
from sandbox.iterable.state import DEFAULT_KEY
from tests.bot.cli.commands import COMMAND, Commands, until
from tests.bot.slack.following import until as arrived
from tests.bot.slack.harness import BRISK

pytestmark = pytest.mark.extended

MARKETING = "C01MARKETING"


def test_tour(tmp_path: Path) -> None:
    """The tour tells the whole story in order, finds the list equal both times, and leaves no files."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    # the settings of a real installation must have no effect
    env = {**os.environ, "TMPDIR": str(folder), "SLACK_BOT_TOKEN": "xoxb-real", "ITERABLE_SYNC_DATA_DIR": "real"}
    result = subprocess.run(
        [COMMAND, "demo", "--tour"], capture_output=True, text=True, env=env, cwd=tmp_path, timeout=120, check=False
    )

    assert result.returncode == 0, result.stdout + result.stderr
    _in_order(
        result.stdout,
        "Maya types /iterable-sync",
        "No Iterable project is connected yet",
        "Ada types /iterable-sync connect",
        "Approval needed: SpringShoppers",
        "Amir presses Review",
        "Approve)",
        "while it runs",
        "[Cancel]",
        "4,700 added",
        "Maya presses See why",
        "[file: rejected-",
        "They are equal.",
        "Iterable answers 503",
        "Sync failing: SpringShoppers",
        "[Retry now]",
        "Recovered: SpringShoppers",
        "240 added, 73 updated, 165 removed",
        "They are equal.",
    )
    assert DEFAULT_KEY not in result.stdout + result.stderr
    assert list(tmp_path.rglob("*")) == [folder]


def test_page(run: Commands) -> None:
    """The demo prints the address of its page; there the bot is connected, and the samples and the key are shown."""
    with run.started("demo") as command:
        until(lambda: "--tour" in command.out.read_text())
        introduction = command.out.read_text().splitlines()
        page = introduction[0].split()[1]
        with urllib.request.urlopen(page) as answer:
            assert b"<html" in answer.read()
        state = _json(f"{page}_page/state?channel={MARKETING}")
        panel = _json(f"{page}_sandbox/slack")
        samples = Path(introduction[2].rpartition(" ")[2])
        assert {path.name for path in samples.iterdir()} == {
            "spring-shoppers.zip",
            "spring-shoppers-a-week-later.zip",
        }
        command.process.send_signal(signal.SIGINT)
        assert command.ended().code == 0

    shown = json.dumps(state)
    assert len(introduction) == 5
    assert panel["connections"] == 1
    assert panel["iterable"]
    assert DEFAULT_KEY in shown
    assert "spring-shoppers.zip" in shown
    assert not samples.exists()
    assert samples.is_relative_to(tempfile.gettempdir())


async def test_steps_of_the_welcome_message(tmp_path: Path) -> None:
    """A person can follow the steps of the welcome message, as it gives them."""
    async with demo_environment(0, pace=BRISK) as demo:
        await post_welcome_messages(demo)
        slack, (ada, maya, amir) = demo.slack, (demo.slack.admin, demo.slack.marketer, demo.slack.approver)
        file = next(one for one in slack.messages("marketing") if one.files)

        await ada.command("/iterable-sync")
        form = await ada.open_view(ConnectCallback.CONNECT)
        key = slack.render(slack.messages("marketing")[0]).split("`")[1]
        await ada.fill(form, {ConnectBlock.NAME: "Shop", ConnectBlock.KEY: key, ConnectBlock.APPROVERS: [amir.id]})
        await ada.fill(form, {ConnectBlock.CHANNEL: "C01ALERTS"})
        assert (await ada.submit(form)).ok
        await slack.wait_for(lambda: "Connected" in slack.render(ada.view))

        await maya.command("/iterable-sync map")
        form = await maya.open_view(MappingCallback.MAP)
        await maya.fill(form, {MappingBlock.AUDIENCE: "SpringShoppers", MappingAction.LIST: LIST_NAME})
        assert (await maya.submit(form)).ok
        await slack.wait_for(lambda: "Proposed" in slack.render(maya.view))
        await maya.close()
        assert (await maya.shortcut("sync-to-iterable", file)).ok
        assert (await maya.submit(await maya.open_view(RunCallback.START))).ok

        card = await slack.wait_for_message("marketing", "Approval needed: SpringShoppers")
        await amir.click(card, ApprovalAction.REVIEW)
        assert (await amir.submit(await amir.open_view(ApprovalCallback.REVIEW))).ok
        await slack.wait_for_message("marketing", "4,700 added")


async def test_playing_mparticle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """*Play mParticle* on the page streams an audience into the bot: Slack shows its approval, Iterable gets its
    people, and its disconnection asks what to do with them."""
    monkeypatch.setattr("sandbox.slack.browser.mparticle.RATE", 0.0)
    async with demo_environment(0, pace=BRISK) as demo, aiohttp.ClientSession() as session:
        slack, (ada, amir) = demo.slack, (demo.slack.admin, demo.slack.approver)
        await ada.command("/iterable-sync")
        form = await ada.open_view(ConnectCallback.CONNECT)
        values: dict[str, Any] = {ConnectBlock.NAME: "Shop", ConnectBlock.KEY: demo.iterable.key}
        await ada.fill(form, {**values, ConnectBlock.APPROVERS: [amir.id], ConnectBlock.CHANNEL: "C01ALERTS"})
        assert (await ada.submit(form)).ok

        await session.post(f"{slack.page_url}_sandbox/mparticle/play")
        card = await slack.wait_for_message("sync-alerts", "200 changes wait")
        await amir.click(card, MappingAction.REVIEW)
        form = await amir.open_view(MappingCallback.REVIEW)
        await amir.fill(form, {MappingAction.LIST: str(demo.list_id)})
        assert (await amir.submit(form)).ok
        await arrived(lambda: len(demo.iterable.state.members(demo.list_id)) == 171)

        await session.post(f"{slack.page_url}_sandbox/mparticle/disconnect")
        await slack.wait_for_message("sync-alerts", "Keep or remove the 171 people")
        async with session.get(f"{slack.page_url}_sandbox/slack") as answer:
            lines = (await answer.json())["mparticle"]["lines"]
        assert lines[-1] == "Disconnected audience Summer Sale Shoppers."


def test_port_that_is_taken(run: Commands) -> None:
    """A port that is in use is one sentence and exit code 2."""
    port = run.iterable.url.rpartition(":")[2]

    result = run("demo", "--port", port)

    assert result.code == 2
    assert f"Port {port} is not available" in result.err


def _in_order(text: str, *parts: str) -> None:
    position = 0
    for part in parts:
        start = text.find(part, position)
        assert start >= 0, f"{part!r} is missing after:\n{text[:position][-500:]}"
        position = start + len(part)


def _json(url: str) -> Any:
    with urllib.request.urlopen(url) as answer:
        return json.loads(answer.read())
