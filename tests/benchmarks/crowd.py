"""A local Slack in another process, in which people interact many times per second.

It reads commands from lines on standard input, and answers each with a line of JSON: `open` (open the modals and the
home page), `press` (begin) and `stop` (end; returns the time to each acknowledgement, in seconds).
"""

import asyncio
import contextlib
import json
import sys
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import yaml

from bot.features.ids import ConnectBlock, ConnectCallback, HomeAction, RunAction, RunCallback
from sandbox.slack import Slack, running
from sandbox.slack.users.outcome import Outcome
from sandbox.slack.workspace.view_state import NotPossibleError
from tests.benchmarks.lag import Lag

# Interactions per second, of all kinds together.
RATE = 16

MANIFEST = Path(__file__).parents[2] / "manifest.yml"


class Crowd:
    """People who interact: a slash command, a button, a letter in a typeahead, an invalid modal."""

    def __init__(self, slack: Slack) -> None:
        """Store the local Slack."""
        self._slack = slack
        self._presses: tuple[Callable[[], Awaitable[Any]], ...] = ()
        self._task: asyncio.Task[None] | None = None
        self._lag = Lag()

    async def open(self) -> dict[str, Any]:
        """Open the modals and the home page."""
        maya, oksana, ada = self._slack.marketer, self._slack.operator, self._slack.admin
        await self._slack.wait_connected(timeout=30)
        await ada.command("/iterable-sync connect")
        form = await ada.open_view(ConnectCallback.CONNECT)
        await ada.fill(
            form,
            {
                ConnectBlock.NAME: "Two",
                ConnectBlock.KEY: "not a key",
                ConnectBlock.APPROVERS: ["U01AMIR"],
            },
        )
        await maya.command("/iterable-sync")
        start = await maya.open_view(RunCallback.START)
        await oksana.open_home()

        async def refresh() -> Outcome:
            assert oksana.user.home is not None
            return await oksana.click(oksana.user.home, HomeAction.REFRESH)

        async def submit() -> Outcome:
            outcome = await ada.submit(form)
            assert outcome.errors or outcome.error, "the form was not refused"
            return outcome

        self._presses = (
            lambda: maya.command("/iterable-sync help"),
            refresh,
            lambda: maya.suggest(start, RunAction.MAPPING, "s"),
            submit,
        )
        return {}

    async def press(self) -> dict[str, Any]:
        """Begin to interact."""
        self._slack.delivery.record = deque()
        self._lag = Lag()
        self._lag.begin()
        self._task = asyncio.create_task(self._press(), name="press")
        return {}

    async def stop(self) -> dict[str, Any]:
        """Stop. Returns the seconds to each acknowledgement by kind, and this process's own delays."""
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait([self._task])
        if not self._task.cancelled():
            self._task.result()
        seconds: dict[str, list[float]] = {}
        for each in self._slack.delivery.record:
            if each.kind != "events_api":
                seconds.setdefault(each.payload.get("type", "slash_command"), []).append(each.seconds)
        failed = [each.answer.error for each in self._slack.delivery.record if each.answer.error]
        return {"seconds": seconds, "failed": failed, "lag": self._lag.end()}

    async def _press(self) -> None:
        """Interact at fixed times, whether or not earlier interactions have been acknowledged."""
        loop = asyncio.get_running_loop()
        at, nth = loop.time(), 0
        async with asyncio.TaskGroup() as group:
            with contextlib.suppress(asyncio.CancelledError):
                while True:
                    group.create_task(_call(self._presses[nth % len(self._presses)]))
                    at, nth = at + 1 / RATE, nth + 1
                    await asyncio.sleep(at - loop.time())


async def _call(press: Callable[[], Awaitable[Any]]) -> None:
    with contextlib.suppress(NotPossibleError):  # not acknowledged, as the record shows
        await press()


async def _lines() -> AsyncIterator[str]:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        yield line.decode().strip()


async def main() -> None:
    """Serve until standard input ends."""
    async with running(manifest=yaml.safe_load(MANIFEST.read_text())) as slack:
        print(json.dumps(slack.environment()), flush=True)
        crowd = Crowd(slack)
        commands = {"open": crowd.open, "press": crowd.press, "stop": crowd.stop}
        async for line in _lines():
            print(json.dumps(await commands[line]()), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
