"""Slack's endpoint in HTTP mode, with requests that Slack did not send."""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from slack_sdk.signature import SignatureVerifier

from bot.serve import serving
from bot.web import server, slack
from core.engine import open_engine
from core.settings import Settings
from sandbox.slack import Slack
from tests.bot.slack.harness import local_slack
from tests.core.databases import furnish
from tests.core.harness import QUICK

JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@asynccontextmanager
async def http_mode(folder: Path, **more: Any) -> AsyncIterator[tuple[Slack, str]]:
    """Run the bot in HTTP mode, and yield the local Slack and the bot's address."""
    async with local_slack() as workspace:
        settings = Settings.model_validate(
            {
                "SLACK_API_URL": workspace.api_url,
                "SLACK_BOT_TOKEN": workspace.bot_token,
                "SLACK_SIGNING_SECRET": workspace.signing_secret,
                "data_dir": folder / "data",
                "port": 0,
                **more,
            }
        )
        furnish(settings)
        lines: list[str] = []
        async with open_engine(settings, "test", retry_policy=QUICK) as engine, serving(engine, lines.append):
            yield workspace, next(line.split()[2] for line in lines if line.startswith("HTTP server: "))


def signed(secret: str, body: bytes) -> dict[str, str]:
    """Return the headers with which Slack signs a request."""
    stamp = str(int(time.time()))
    signature = SignatureVerifier(secret).generate_signature(timestamp=stamp, body=body)
    assert signature is not None
    return {"X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": signature}


async def test_requests_that_slack_did_not_sign(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A request without a valid signature is answered with 401, and is not logged."""
    bodies = [b"[1,2]", b"{}", b"", b"\xff\xfe", b"payload=[]", b"payload=%7B%22type%22", b"null", b"{" * 10_000]
    forged = {"X-Slack-Request-Timestamp": "soon", "X-Slack-Signature": "v0=00"}
    async with http_mode(tmp_path) as (workspace, url), aiohttp.ClientSession() as session:
        with caplog.at_level(logging.INFO):
            for body in bodies:
                for headers in (JSON, FORM, {}, {**JSON, **forged}, {**JSON, **signed("another secret", b"x")}):
                    async with session.post(url + slack.EVENTS_PATH, data=body, headers=headers) as answer:
                        assert answer.status == 401, (body, headers)
        assert [record for record in caplog.records if record.name.startswith(("aiohttp", "bot", "slack"))] == []
        for body in (b"[1,2]", b"null", b"\xff"):
            headers = JSON | signed(workspace.signing_secret, body) if body != b"\xff" else JSON
            async with session.post(url + slack.EVENTS_PATH, data=body, headers=headers) as answer:
                assert answer.status == (401 if body == b"\xff" else 400)
        body = json.dumps({"type": "url_verification", "challenge": "abc"}).encode()
        headers = JSON | signed(workspace.signing_secret, body)
        async with session.post(url + slack.EVENTS_PATH, data=body, headers=headers) as answer:
            assert answer.status == 200
    assert not (tmp_path / "data" / "error.log").exists()


async def test_half_a_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection whose request stays incomplete, in its head or its body, is closed."""
    monkeypatch.setattr(server, "IDLE_S", 0.2)
    monkeypatch.setattr(server, "GRACE_S", 0.2)
    monkeypatch.setattr(slack, "READ_WITHIN_S", 0.2)
    head = b"POST /slack/events HTTP/1.1\r\nHost: localhost\r\n"
    async with http_mode(tmp_path) as (_, url):
        host, port = url.removeprefix("http://").split(":")
        for sent, answered in ((head, b""), (head + b"Content-Length: 5\r\n\r\nab", b"HTTP/1.1 408")):
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(sent)
            async with asyncio.timeout(60):
                assert (await reader.read())[: len(answered)] == answered
            writer.close()
