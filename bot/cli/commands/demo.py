"""`iterable-sync demo`: Slack, Iterable and the bot on this computer, with a page in the browser; or a tour of it."""

import asyncio
import webbrowser
from typing import TYPE_CHECKING, Annotated

import typer

from bot.cli.exit_codes import ExitCode
from bot.cli.session import Session, run_command

if TYPE_CHECKING:
    from bot.demo.environment import DemoEnvironment


def demo(
    tour: Annotated[bool, typer.Option("--tour", help="Play the story in the terminal, and end.")] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port of the page, 0 for a free one.")] = 0,
) -> ExitCode:
    """Try it in a Slack on this computer, in the browser. Nothing real is touched."""
    return run_command(lambda session: _tour(session, port) if tour else _demo(session, port))


async def _demo(session: Session, port: int) -> ExitCode:
    from bot.demo.environment import WATCHABLE, demo_environment
    from bot.demo.welcome import post_welcome_messages

    terminal = session.terminal
    ended = asyncio.Event()
    with session.interruption.stopping_with(ended.set):
        terminal.say("Starting a local Slack, a local Iterable and the bot ...")
        async with demo_environment(port, limit=WATCHABLE) as here:
            await post_welcome_messages(here)
            for line in introduction(here):
                terminal.line(line)
            if terminal.is_attended:
                await asyncio.to_thread(webbrowser.open, here.slack.page_url)
            await _until_either(ended, here.engine.stopping)
    return ExitCode.OK


async def _tour(session: Session, port: int) -> ExitCode:
    from bot.demo.tour import play

    return ExitCode.OK if await play(session.terminal, port) else ExitCode.FAILED


def introduction(here: "DemoEnvironment") -> list[str]:
    """What to open, and what to try."""
    return [
        f"Open {here.slack.page_url} - a Slack workspace with the bot in it. Nothing real is touched. Ctrl-C ends it.",
        f"Type /iterable-sync in #marketing and connect Iterable as Ada; the API key is {here.iterable.key}",
        f"Map SpringShoppers to a list as Maya, approve it as Amir. Sample files: {here.first.parent}",
        "Break Iterable under Sandbox (upper right), sync again, read the alert in #sync-alerts, mend it, press Retry.",
        "Or watch it all played in this terminal: iterable-sync demo --tour",
    ]


async def _until_either(*events: asyncio.Event) -> None:
    waits = [asyncio.create_task(event.wait()) for event in events]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()
