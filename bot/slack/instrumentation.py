"""Counts calls to Slack, and measures how long people wait for acknowledgements, for /metrics."""

import time
from collections.abc import Mapping
from typing import Any

from slack_bolt.async_app import AsyncApp
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_bolt.response import BoltResponse
from slack_sdk.http_retry.async_handler import AsyncRetryHandler
from slack_sdk.http_retry.request import HttpRequest
from slack_sdk.http_retry.response import HttpResponse
from slack_sdk.http_retry.state import RetryState

from bot.metrics import ACKNOWLEDGEMENT_SECONDS, SLACK_CALLS

_KINDS = {
    "block_actions": "action",
    "block_suggestion": "options",
    "event_callback": "event",
    "message_action": "shortcut",
    "shortcut": "shortcut",
    "view_closed": "view",
    "view_submission": "view",
}


class CallMetricsHandler(AsyncRetryHandler):
    """Counts the calls of a client by method and answer. slack-sdk asks it about each answer; it never retries."""

    async def can_retry_async(
        self,
        *,
        state: RetryState,
        request: HttpRequest,
        response: HttpResponse | None = None,
        error: Exception | None = None,
    ) -> bool:
        """Count the answer, and return False."""
        method = request.url.partition("?")[0].rpartition("/")[2]
        SLACK_CALLS.labels(method=method, answer=_answer(response)).inc()
        return False


class MeasuredApp(AsyncApp):
    """A Bolt app that measures the time until acknowledgement, in any mode."""

    def _init_context(self, req: AsyncBoltRequest) -> None:
        super()._init_context(req)
        assert req.context.client is not None
        req.context.client.proxy = self.client.proxy  # slack-sdk would take it from the environment despite NO_PROXY

    async def async_dispatch(self, req: AsyncBoltRequest) -> BoltResponse:
        """Dispatch a request to its listener. Returns after the acknowledgement."""
        began = time.perf_counter()
        response = await super().async_dispatch(req)
        ACKNOWLEDGEMENT_SECONDS.labels(kind=_kind(req.body)).observe(time.perf_counter() - began)
        return response


def _answer(response: HttpResponse | None) -> str:
    if response is None:
        return "none"
    if response.body is None:
        return f"http_{response.status_code}"
    return "ok" if response.body.get("ok") else str(response.body.get("error"))


def _kind(body: Mapping[str, Any]) -> str:
    return "command" if "command" in body else _KINDS.get(str(body.get("type")), "other")
