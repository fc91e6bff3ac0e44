"""`iterable-sync serve` and `doctor` as processes, with a local Slack in another one."""

import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bot.cli.commands import Commands, LocalIterable, until

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def slack() -> Iterator[dict[str, str]]:
    """A local Slack with our manifest in a process of its own: the bot's settings for it."""
    command = [sys.executable, "-m", "sandbox.slack", "--port", "0", "--manifest", str(ROOT / "manifest.yml")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        found: dict[str, str] = {}
        while "SLACK_CLIENT_SECRET" not in found:
            name, is_setting, value = process.stdout.readline().strip().partition("=")
            if is_setting:
                found[name] = value
        try:
            yield {name: found[name] for name in ("SLACK_API_URL", "SLACK_BOT_TOKEN", "SLACK_APP_TOKEN")}
        finally:
            process.send_signal(signal.SIGTERM)


@pytest.fixture
def run(tmp_path: Path, iterable: LocalIterable, slack: dict[str, str]) -> Commands:
    """Runs `iterable-sync` with the local Slack's settings, and any free port."""
    return Commands(tmp_path, iterable, {**slack, "ITERABLE_SYNC_PORT": "0"})


def test_serves_until_it_is_asked_to_stop(run: Commands) -> None:
    """It says what it runs and that it is ready, answers over HTTP, and ends with 0 after SIGTERM."""
    with run.started("serve") as command:
        until(lambda: "Ready" in command.out.read_text())
        shown = command.out.read_text()
        address = next(line.split()[2] for line in shown.splitlines() if line.startswith("HTTP server"))
        with urllib.request.urlopen(f"{address}/readyz") as answer:
            assert answer.status == 200
        command.process.send_signal(signal.SIGTERM)
        result = command.ended()

    assert 'Slack: workspace "Fernway Outdoor" as @iterable-sync, Socket Mode.' in shown
    assert result.code == 0, result.err
    assert result.err.splitlines() == ["Stopping after the requests in progress. A second signal exits at once."]


def test_a_second_signal_leaves_at_once(run: Commands) -> None:
    """Who does not want to wait need not."""
    with run.started("serve") as command:
        until(lambda: "Ready" in command.out.read_text())
        begun = time.monotonic()
        for _ in range(2):
            command.process.send_signal(signal.SIGINT)
        assert command.process.wait(10) in (0, 130)
        assert time.monotonic() - begun < 10


def test_a_wrong_token(run: Commands) -> None:
    """A token that Slack does not know is a sentence and exit code 2."""
    result = run.here("serve", env={"SLACK_APP_TOKEN": "xapp-nobody"})

    assert result.code == 2
    assert "SLACK_APP_TOKEN is not a token that Slack knows (invalid_auth). Copy an app-level token" in result.err


def test_half_a_configuration(run: Commands) -> None:
    """A token alone is not enough, and it is said what is missing."""
    result = run.here("serve", env={"SLACK_APP_TOKEN": ""})

    assert result.code == 2
    assert "Set SLACK_APP_TOKEN for Socket Mode" in result.err


def test_doctor_looks_at_slack(run: Commands) -> None:
    """The doctor says whose the tokens are, and whether the scopes are all there."""
    result = run("doctor")

    assert result.code == 0, result.out
    assert 'ok     Slack bot token: is accepted; workspace "Fernway Outdoor" as @iterable-sync' in result.out
    assert "ok     Slack scopes: the bot has all that it needs" in result.out
    assert "ok     Slack app token: is accepted" in result.out


def test_doctor_finds_a_wrong_slack_token(run: Commands) -> None:
    """A token that Slack does not take is found, with what to do."""
    result = run("doctor", env={"SLACK_BOT_TOKEN": "xoxb-nobody"})

    assert result.code == 1
    assert "WRONG  Slack bot token: SLACK_BOT_TOKEN is not a token that Slack knows" in result.out


def test_token_that_could_be_guessed(run: Commands) -> None:
    """`serve` refuses a short Firehose token, and the doctor finds it."""
    short = {"ITERABLE_SYNC_FIREHOSE_TOKEN": "guess"}
    refused, found = run.here("serve", env=short), run("doctor", env=short)

    assert refused.code == 2
    assert "ITERABLE_SYNC_FIREHOSE_TOKEN has fewer than 24 characters" in refused.err
    assert found.code == 1
    assert "WRONG  Firehose token: ITERABLE_SYNC_FIREHOSE_TOKEN has fewer than 24 characters" in found.out
