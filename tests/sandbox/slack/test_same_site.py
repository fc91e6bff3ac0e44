"""The page of the local Slack is only for this machine: it refuses requests of other sites."""

from __future__ import annotations

import aiohttp
import pytest

from sandbox.slack import Slack


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost:1"}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Host": "evil.example:80"}, 403),
        ({"Host": "localhost.evil.example"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Host": "localhost:1", "Origin": "http://localhost:1"}, 200),
    ],
)
async def test_other_hosts_and_origins(slack: Slack, headers: dict[str, str], status: int) -> None:
    """A request with another host, as after DNS rebinding, or with another origin is refused."""
    async with aiohttp.ClientSession() as session:
        for path in ("/", "/_page/state", "/oauth/v2/authorize"):
            async with session.get(slack.world.base_url + path, headers=headers) as answer:
                assert (answer.status == 403) == (status == 403), path
        body = {"as": slack.marketer.id, "do": "write", "channel": "C01MARKETING", "text": "hello"}
        async with session.post(f"{slack.world.base_url}/_page/act", json=body, headers=headers) as answer:
            assert answer.status == status
