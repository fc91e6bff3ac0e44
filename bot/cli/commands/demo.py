"""`iterable-sync demo`: a local Slack with the bot, in the browser or as a tour in the terminal."""

import asyncio
import webbrowser
from typing import TYPE_CHECKING, Annotated

import typer

from bot.cli import options
from bot.cli.exit_codes import ExitCode
from bot.cli.session import Session, run_command
from core.identity import ProjectType

if TYPE_CHECKING:
    from bot.demo.environment import DemoEnvironment


def demo(
    tour: Annotated[bool, typer.Option("--tour", help="Play the story in the terminal, and end.")] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port of the page, 0 for a free one.")] = 0,
    project_type: options.SandboxProject = ProjectType.EMAIL,
) -> ExitCode:
    """Try the bot in a local Slack, in the browser. Nothing real is touched."""
    return run_command(lambda session: _tour(session, port) if tour else _demo(session, port, project_type))


async def _demo(session: Session, port: int, project_type: ProjectType) -> ExitCode:
    from bot.demo.environment import WATCHABLE, demo_environment, post_welcome_messages
    from bot.supervisor import first_of

    terminal = session.terminal
    ended = asyncio.Event()
    with session.interruption.stopping_with(ended.set):
        terminal.say("Starting a local Slack, a local Iterable and the bot ...")
        async with demo_environment(port, limit=WATCHABLE, project_type=project_type) as environment:
            await post_welcome_messages(environment)
            for line in introduction(environment):
                terminal.line(line)
            if terminal.is_attended:
                await asyncio.to_thread(webbrowser.open, environment.slack.page_url)
            await first_of(ended.wait(), environment.engine.stopping.wait())
    return ExitCode.OK


async def _tour(session: Session, port: int) -> ExitCode:
    from bot.demo.tour import play

    return ExitCode.OK if await play(session.terminal, port) else ExitCode.FAILED


def introduction(environment: "DemoEnvironment") -> list[str]:
    """Return what to open and what to try."""
    return [
        (
            f"Open {environment.slack.page_url} - a Slack workspace with the bot in it. Nothing real is touched. "
            "Ctrl-C ends it."
        ),
        f"Type /iterable-sync in #marketing and connect Iterable as Ada; the API key is {environment.iterable.key}",
        f"Map SpringShoppers to a list as Maya, approve it as Amir. Sample files: {environment.first.parent}",
        "Break Iterable under Sandbox (upper right), sync again, read the alert in #sync-alerts, mend it, press Retry.",
        "Or watch it all played in this terminal: iterable-sync demo --tour",
    ]
