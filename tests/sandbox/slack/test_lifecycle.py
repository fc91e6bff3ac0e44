"""The local Slack starts and stops, in a test's event loop and as a command."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from sandbox.slack import Slack, running
from tests.sandbox.slack.bolt import client_of

OPEN = Path("/proc/self/fd")


def open_files() -> int:
    """Return the number of open files of this process."""
    return len(list(OPEN.iterdir()))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_command_prints_what_a_bot_needs_and_stops(number: signal.Signals, tmp_path: Path) -> None:
    """`python -m sandbox.slack` prints its address and tokens, and a signal ends it with exit code 0."""
    manifest = tmp_path / "manifest.json"
    manifest.write_text('{"display_information": {"name": "Sync"}}')
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sandbox.slack", "--port", "0", "--manifest", str(manifest)),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )
    assert process.stdout
    lines = [(await process.stdout.readline()).decode() for _ in range(8)]
    process.send_signal(number)

    assert await asyncio.wait_for(process.wait(), 10) == 0
    text = "".join(lines)
    assert "Local Slack: http://127.0.0.1:" in text
    assert "SLACK_APP_TOKEN=xapp-local" in text
    assert "SLACK_CLIENT_SECRET=" in text


@pytest.mark.skipif(not OPEN.exists(), reason="open files are counted in /proc, which only Linux has")
async def test_no_descriptor_leaks() -> None:
    """Starting and stopping many times leaks no descriptors."""

    async def start_and_stop() -> None:
        async with running() as slack:
            await client_of(slack).auth_test()

    await start_and_stop()
    before = open_files()
    for _ in range(5):
        await start_and_stop()

    assert open_files() <= before


async def test_timeout_names_its_condition(slack: Slack) -> None:
    """The error of a wait names the condition."""
    with pytest.raises(TimeoutError, match=r"not within 0\.05 s: a message with 'Done'"):
        await slack.wait_for_message("marketing", "Done", timeout=0.05)


async def test_environment_of_a_bot(slack: Slack) -> None:
    """The environment has the variables of Socket Mode or of HTTP mode."""
    assert slack.environment().keys() == {"SLACK_API_URL", "SLACK_BOT_TOKEN", "SLACK_APP_TOKEN"}
    assert slack.environment(http=True).keys() == {
        "SLACK_API_URL",
        "SLACK_BOT_TOKEN",
        "SLACK_SIGNING_SECRET",
    }
