"""Faults, tokens, scopes and rate limits."""

from __future__ import annotations

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.http_retry.builtin_async_handlers import AsyncServerErrorRetryHandler
from slack_sdk.web.async_client import AsyncWebClient

from sandbox.slack import Slack, running
from tests.sandbox.slack.bolt import client_of


async def post(slack: Slack, channel: str = "C01MARKETING") -> str:
    """Post a message. Returns "ok" or the error."""
    try:
        await client_of(slack).chat_postMessage(channel=channel, text="Hello")
    except SlackApiError as error:
        return str(error.response["error"])
    return "ok"


async def test_rate_limit_says_how_long_to_wait(slack: Slack) -> None:
    """A rate limit is a 429 with Retry-After, as often as requested."""
    slack.faults.add("ratelimited", "chat.*", count=1, retry_after=7)

    with pytest.raises(SlackApiError) as refused:
        await client_of(slack).chat_postMessage(channel="C01MARKETING", text="Hello")

    assert refused.value.response.status_code == 429
    assert refused.value.response.headers["Retry-After"] == "7"
    assert await post(slack) == "ok"


async def test_server_error_can_be_retried(slack: Slack) -> None:
    """The SDK's retry handler retries a single 503."""
    slack.faults.add("server_error", "chat.postMessage", count=1, status=503)
    client = client_of(slack)
    client.retry_handlers.append(AsyncServerErrorRetryHandler())

    answer = await client.chat_postMessage(channel="C01MARKETING", text="Hello")

    assert answer["ok"]
    assert [call.status for call in slack.calls("chat.postMessage")] == [503, 200]


@pytest.mark.parametrize(
    "error", ["channel_not_found", "not_in_channel", "is_archived", "invalid_blocks", "msg_too_long"]
)
async def test_error_codes_on_demand(slack: Slack, error: str) -> None:
    """A fault can have any of Slack's error codes."""
    slack.faults.add(error, "chat.postMessage")

    assert await post(slack) == error


async def test_fault_of_one_channel(slack: Slack) -> None:
    """A fault can be limited to one channel."""
    slack.faults.add("channel_not_found", "chat.*", channel="C01ALERTS")

    assert (await post(slack), await post(slack, "C01ALERTS")) == ("ok", "channel_not_found")


async def test_fault_of_one_message(slack: Slack) -> None:
    """A fault can be limited to messages with a text."""
    slack.faults.add("channel_not_found", "chat.*", text="Hell")
    client = client_of(slack)

    assert (await client.chat_postMessage(channel="C01MARKETING", text="Heaven"))["ok"]
    assert await post(slack) == "channel_not_found"


async def test_a_seed_repeats_the_same_strikes() -> None:
    """A fault with a probability strikes the same calls for the same seed."""
    runs = []
    for _ in range(2):
        async with running() as slack:
            slack.faults.add("server_error", "chat.*", probability=0.5, seed=3)
            client = AsyncWebClient(slack.bot_token, base_url=slack.api_url)
            statuses = []
            for _ in range(8):
                try:
                    await client.chat_getPermalink(channel="C01MARKETING", message_ts="1.0")
                except SlackApiError as error:
                    statuses.append(error.response.status_code)
            runs.append(statuses)

    assert runs[0] == runs[1]
    assert set(runs[0]) == {200, 500}


async def test_lost_answer_posts_the_message(slack: Slack) -> None:
    """lost_answer posts the message, but the client sees a broken connection."""
    slack.faults.add("lost_answer", "chat.postMessage", count=1)
    client = client_of(slack)
    client.retry_handlers.clear()

    with pytest.raises(aiohttp.ClientError):
        await client.chat_postMessage(channel="C01MARKETING", text="Hello")

    assert [message.text for message in slack.messages("marketing")] == ["Hello"]


async def test_lost_answer_makes_a_retrying_client_post_twice(slack: Slack) -> None:
    """After a broken connection, the SDK's retry posts the message again."""
    slack.faults.add("lost_answer", "chat.postMessage", count=1)

    assert await post(slack) == "ok"
    assert [message.text for message in slack.messages("marketing")] == ["Hello", "Hello"]


async def test_no_answer(slack: Slack) -> None:
    """With no_answer the client times out, and nothing is posted."""
    slack.faults.add("no_answer", "chat.postMessage", count=1)
    client = AsyncWebClient(slack.bot_token, base_url=slack.api_url, timeout=0.1)  # type: ignore[arg-type]

    with pytest.raises(TimeoutError):
        await client.chat_postMessage(channel="C01MARKETING", text="Hello")

    assert slack.messages("marketing") == []


async def test_faults_are_cleared(slack: Slack) -> None:
    """Cleared faults no longer strike."""
    slack.faults.add("server_error")
    slack.faults.clear()

    assert await post(slack) == "ok"


async def test_rate_limits_of_posting_and_updating() -> None:
    """If limits are enforced, a channel takes three messages at once and an app fifty updates a minute."""
    async with running(rate_limits=True) as slack:
        posts = [await post(slack) for _ in range(4)]
        slack.advance(4)
        posts.append(await post(slack))
        message = slack.messages("marketing")[0]
        client = client_of(slack)
        for number in range(50):
            await client.chat_update(channel="C01MARKETING", ts=message.ts, text=str(number))
        with pytest.raises(SlackApiError) as refused:
            await client.chat_update(channel="C01MARKETING", ts=message.ts, text="one too many")

    assert posts == ["ok", "ok", "ok", "ratelimited", "ok"]
    assert 1 <= int(refused.value.response.headers["Retry-After"]) <= 60


@pytest.mark.parametrize(
    ("token", "error"), [("", "not_authed"), ("xoxb-wrong", "invalid_auth"), ("xapp-local", "not_allowed_token_type")]
)
async def test_wrong_tokens(slack: Slack, token: str, error: str) -> None:
    """A missing, unknown or wrong kind of token has its own error."""
    with pytest.raises(SlackApiError) as refused:
        await AsyncWebClient(token, base_url=slack.api_url).auth_test()

    assert refused.value.response["error"] == error


async def test_missing_scope_is_named() -> None:
    """A method without its scope is refused with the scope's name."""
    async with running(scopes=("commands", "chat:write")) as slack:
        with pytest.raises(SlackApiError) as refused:
            await client_of(slack).users_info(user=slack.admin.id)

    assert refused.value.response["error"] == "missing_scope"
    assert refused.value.response["needed"] == "users:read"


async def test_unknown_method(slack: Slack) -> None:
    """A method that the sandbox does not have is unknown_method."""
    with pytest.raises(SlackApiError, match="unknown_method"):
        await client_of(slack).api_call("games.play")
