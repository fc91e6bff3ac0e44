"""`iterable-sync serve` and `doctor` as processes, with a local Slack in another process."""

import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bot.cli.commands import DEADLINE_S, Commands, LocalIterable, until

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def slack() -> Iterator[dict[str, str]]:
    """Run a local Slack with our manifest in its own process, and yield the bot's settings for it."""
    command = [sys.executable, "-m", "sandbox.slack", "--port", "0", "--manifest", str(ROOT / "manifest.yml")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        settings: dict[str, str] = {}
        while "SLACK_CLIENT_SECRET" not in settings:
            name, is_setting, value = process.stdout.readline().strip().partition("=")
            if is_setting:
                settings[name] = value
        try:
            yield {name: settings[name] for name in ("SLACK_API_URL", "SLACK_BOT_TOKEN", "SLACK_APP_TOKEN")}
        finally:
            process.send_signal(signal.SIGTERM)


@pytest.fixture
def run(tmp_path: Path, iterable: LocalIterable, slack: dict[str, str]) -> Commands:
    """Runs `iterable-sync` with the local Slack's settings on a free port."""
    return Commands(tmp_path, iterable, {**slack, "ITERABLE_SYNC_PORT": "0"})


def test_serves_until_it_is_asked_to_stop(run: Commands) -> None:
    """`serve` prints its parts, is ready over HTTP, and ends with exit code 0 after SIGTERM."""
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


@pytest.mark.extended
def test_port_of_the_command(run: Commands) -> None:
    """`serve --port` replaces the setting, and the doctor tells a taken port from one on which `serve` runs."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        run.env["ITERABLE_SYNC_PORT"] = str(taken.getsockname()[1])
        refused = run.here("doctor", "--json", env={"ITERABLE_API_KEY": ""})
        with run.started("serve", "--port", "0") as command:
            until(lambda: "Ready" in command.out.read_text())
            shown = command.out.read_text()
            address = next(line.split()[2] for line in shown.splitlines() if line.startswith("HTTP server"))
            port = address.rpartition(":")[2]
            accepted = run.here("doctor", "--json", env={"ITERABLE_SYNC_PORT": port})
            command.process.send_signal(signal.SIGTERM)
            assert command.ended().code == 0

    wrong = [check for check in refused.object["checks"] if not check["ok"]]
    assert [check["what"] for check in wrong] == [f"127.0.0.1, port {run.env['ITERABLE_SYNC_PORT']}"]
    assert "Set ITERABLE_SYNC_PORT to a port that is free" in wrong[0]["text"]
    texts = {check["what"]: check["text"] for check in accepted.object["checks"]}
    assert texts[f"127.0.0.1, port {port}"] == "is in use by a running `iterable-sync serve`"


@pytest.mark.extended
def test_second_signal_ends_at_once(run: Commands) -> None:
    """A second signal ends `serve` at once."""
    with run.started("serve") as command:
        until(lambda: "Ready" in command.out.read_text())
        for _ in range(2):
            command.process.send_signal(signal.SIGINT)
        assert command.process.wait(DEADLINE_S) in (0, 130)


def test_a_wrong_token(run: Commands) -> None:
    """A token that Slack does not know is one sentence and exit code 2."""
    result = run.here("serve", env={"SLACK_APP_TOKEN": "xapp-unknown"})

    assert result.code == 2
    assert "SLACK_APP_TOKEN is not a token that Slack knows (invalid_auth). Copy an app-level token" in result.err


def test_half_a_configuration(run: Commands) -> None:
    """If one of the two tokens is missing, the error names it."""
    result = run.here("serve", env={"SLACK_APP_TOKEN": ""})

    assert result.code == 2
    assert "Set SLACK_APP_TOKEN for Socket Mode" in result.err


@pytest.mark.extended
def test_doctor_checks_slack(run: Commands) -> None:
    """The doctor reports the workspace of the tokens, and whether all scopes are granted."""
    result = run("doctor")

    assert result.code == 0, result.out
    assert 'ok     Slack bot token: is accepted; workspace "Fernway Outdoor" as @iterable-sync' in result.out
    assert "ok     Slack scopes: the bot has all that it needs" in result.out
    assert "ok     Slack app token: is accepted" in result.out


@pytest.mark.extended
def test_doctor_finds_a_wrong_slack_token(run: Commands) -> None:
    """The doctor finds a token that Slack refuses, and says what to do."""
    result = run("doctor", env={"SLACK_BOT_TOKEN": "xoxb-unknown"})

    assert result.code == 1
    assert "WRONG  Slack bot token: SLACK_BOT_TOKEN is not a token that Slack knows" in result.out


@pytest.mark.extended
def test_short_firehose_token(run: Commands) -> None:
    """`serve` refuses a short Firehose token, and the doctor finds it."""
    short = {"ITERABLE_SYNC_FIREHOSE_TOKEN": "guess"}
    refused, checked = run.here("serve", env=short), run("doctor", env=short)

    assert refused.code == 2
    assert "ITERABLE_SYNC_FIREHOSE_TOKEN has fewer than 24 characters" in refused.err
    assert checked.code == 1
    assert "WRONG  Firehose token: ITERABLE_SYNC_FIREHOSE_TOKEN has fewer than 24 characters" in checked.out
