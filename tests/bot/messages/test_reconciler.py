"""The reconciler shows the messages of any provider."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from bot import serve
from bot.messages.desired import DesiredMessage, MessageKind
from bot.messages.provider import DesiredState, MessageProvider, Snapshot, StoredMessages, Subject
from bot.ui.blocks import text_message
from tests.bot.slack.following import LONG
from tests.bot.slack.harness import BRISK, MARKETING, TEAM, workspace


class Notices:
    """A provider of two subjects: a notice, and one whose message can't be built."""

    def __init__(self) -> None:
        """Nothing is done yet."""
        self.done = asyncio.Event()

    async def read(self, snapshot: Snapshot) -> Sequence[Subject]:
        """Read nothing."""
        notice = Subject("notice", ["notice:1"], self._notice, on_done=self.done.set)
        return [Subject("broken", ["notice:0"], self._broken), notice]

    async def after_read(self) -> None:
        """Nothing is due."""

    async def close(self) -> None:
        """No background work."""

    def _notice(self, _stored: StoredMessages) -> DesiredState:
        content = text_message("Iterable is down for maintenance on Sunday.")
        return DesiredState([DesiredMessage("notice:1", TEAM, MARKETING, MessageKind.FINAL, content)], is_final=True)

    def _broken(self, _stored: StoredMessages) -> DesiredState:
        raise ValueError("broken")


class Questions:
    """A provider of a question, its answer, and the next question, which comes before the answer is marked as done."""

    def __init__(self) -> None:
        """Nothing is asked yet."""
        self._has_answer = False

    async def read(self, snapshot: Snapshot) -> Sequence[Subject]:
        """Read nothing."""
        return [Subject("question", ["question:1"], self._question)]

    async def after_read(self) -> None:
        """Nothing is due."""

    async def close(self) -> None:
        """No background work."""

    def _question(self, stored: StoredMessages) -> DesiredState:
        shown = stored.get("question:1")
        if shown is None:
            return _message(MessageKind.OPEN, "Remove two people?")
        self._has_answer |= shown.kind == MessageKind.FINAL
        if self._has_answer:
            return _message(MessageKind.OPEN, "Remove one more?")
        return _message(MessageKind.FINAL, "Approved by Amir.")


def _message(kind: MessageKind, text: str) -> DesiredState:
    content = text_message(text)
    return DesiredState([DesiredMessage("question:1", TEAM, MARKETING, kind, content)], is_final=False)


async def test_answer_stays_when_the_next_question_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next question is a new message. The answer of the last one stays in the channel."""
    providers: list[MessageProvider] = [Questions()]
    monkeypatch.setattr(serve, "message_providers", lambda *_: providers)
    async with workspace(tmp_path) as bot:
        await bot.slack.wait_for_message("marketing", "Remove one more?", timeout=LONG)
        await bot.slack.wait_for_message("marketing", "Approved by Amir.", timeout=LONG)
    assert len(bot.slack.calls("chat.postMessage")) == 2


class Steps:
    """A provider of a message whose text is another one at each look."""

    def __init__(self) -> None:
        """Begin with the first step."""
        self._step = 0

    async def read(self, snapshot: Snapshot) -> Sequence[Subject]:
        """Read nothing."""
        return [Subject("steps", ["steps:1"], self._next)]

    async def after_read(self) -> None:
        """Nothing is due."""

    async def close(self) -> None:
        """No background work."""

    def _next(self, stored: StoredMessages) -> DesiredState:
        self._step += 1
        content = text_message(f"Step {self._step}")
        message = DesiredMessage("steps:1", TEAM, MARKETING, MessageKind.OPEN, content)
        return DesiredState([message], is_final=False)


async def test_edit_that_is_late_moves_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An edit that reaches Slack late is followed by the next one after the limit, counted from its arrival."""
    gap = 0.5
    delays, edit = iter([gap]), AsyncWebClient.chat_update

    async def edit_late(client: AsyncWebClient, **options: Any) -> AsyncSlackResponse:
        await asyncio.sleep(next(delays, 0.0))
        return await edit(client, **options)

    monkeypatch.setattr(AsyncWebClient, "chat_update", edit_late)
    providers: list[MessageProvider] = [Steps()]
    monkeypatch.setattr(serve, "message_providers", lambda *_: providers)
    async with workspace(tmp_path, pace=replace(BRISK, gap=gap)) as bot:
        await bot.slack.wait_for(lambda: len(bot.slack.calls("chat.update")) > 1, LONG)
    first, second = (call.at for call in bot.slack.calls("chat.update")[:2])
    assert second - first >= gap - 0.01


async def test_messages_of_any_provider_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message of a provider is posted once and marked as done, even if another subject can't be built."""
    notices = Notices()
    providers: list[MessageProvider] = [notices]
    monkeypatch.setattr(serve, "message_providers", lambda *_: providers)
    async with workspace(tmp_path) as bot:
        await bot.slack.wait_for_message("marketing", "maintenance", timeout=LONG)
        await asyncio.wait_for(notices.done.wait(), LONG)
    assert len(bot.slack.calls("chat.postMessage")) == 1
