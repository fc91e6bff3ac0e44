"""`iterable-sync sandbox`: local stand-ins for Iterable, Slack and mParticle."""

import asyncio
import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bot.cli import options
from bot.cli.exit_codes import ExitCode
from bot.ui.terminal import Terminal
from core.identity import ProjectType

if TYPE_CHECKING:
    from sandbox.iterable import Running

DEFAULT_PORT = 8970
DEFAULT_SLACK_PORT = 8971
DEFAULT_MPARTICLE_PORT = 8972

app = typer.Typer(help="Try things with local stand-ins. Nothing real is touched.")

Port = Annotated[int, typer.Option(min=0, max=65535, help="The port to listen at, 0 for a free one.")]


@app.callback()
def _sandbox() -> None:
    """Try things with local stand-ins. Nothing real is touched."""


@app.command()
def iterable(port: Port = DEFAULT_PORT, project_type: options.SandboxProject = ProjectType.EMAIL) -> ExitCode:
    """Start a local Iterable, until Ctrl-C."""
    from sandbox.iterable import serve

    terminal = Terminal()
    try:
        asyncio.run(serve(port, project_type=project_type.value, ready=partial(announce, terminal)))
    except OSError as error:
        terminal.say(f"Port {port} is not available ({reason(error)}). Choose another with --port.", "red")
        return ExitCode.BAD_INPUT
    return ExitCode.OK


@app.command()
def slack(port: Port = DEFAULT_SLACK_PORT) -> ExitCode:
    """Start a local Slack workspace with a page for the browser, until Ctrl-C."""
    from sandbox.slack.process import introduction, serve

    terminal = Terminal()
    try:
        asyncio.run(serve(port, ready=lambda running: terminal.line(introduction(running))))
    except OSError as error:
        terminal.say(f"Port {port} is not available ({reason(error)}). Choose another with --port.", "red")
        return ExitCode.BAD_INPUT
    return ExitCode.OK


@app.command()
def mparticle(
    url: Annotated[
        str,
        typer.Option(metavar="URL", help="Where the Firehose goes: http://127.0.0.1:8080/mparticle/firehose/TOKEN."),
    ] = "",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Without --url: the port of the platform API, 0 for a free one.")
    ] = DEFAULT_MPARTICLE_PORT,
    audience: Annotated[str, typer.Option(metavar="NAME", help="The audience to connect.")] = "Summer Sale Shoppers",
    audience_id: Annotated[int, typer.Option("--audience-id", min=1, help="Its id.")] = 8754,
    members: Annotated[int, typer.Option(min=0, help="How many profiles join it.")] = 100,
    leave: Annotated[int, typer.Option(min=0, help="How many of them leave it again.")] = 0,
    merge: Annotated[
        int, typer.Option(min=0, help="How many of them become another profile, as at a login, at the end.")
    ] = 0,
    rate: Annotated[float, typer.Option(min=0.0, help="Profiles a second, 0 for as fast as they are taken.")] = 50.0,
    list_id: Annotated[str, typer.Option("--list", metavar="ID", help="The list ID in the audience's settings.")] = "",
    api_key: Annotated[
        str,
        typer.Option("--api-key", envvar="ITERABLE_API_KEY", show_default=False, help="The API key in the settings."),
    ] = "",
    user_id: Annotated[str, typer.Option("--user-id", help="The User ID setting: customerId or mpid.")] = "customerId",
    account: Annotated[int, typer.Option(help="The account in mParticle.")] = 4711,
    disconnect: Annotated[bool, typer.Option("--disconnect", help="Disconnect the audience at the end.")] = False,
    erase: Annotated[int, typer.Option(metavar="N", min=0, help="Have the first N profiles forgotten at the end.")] = 0,
) -> ExitCode:
    """Play mParticle's Firehose: register, connect an audience, stream changes.

    Without --url, play mParticle's platform API with sample audiences, until Ctrl-C.
    """
    if not url:
        return _platform(port)
    from sandbox.mparticle import Audience, MParticle, RefusedError
    from sandbox.mparticle.scenario import play_story

    terminal = Terminal()
    chosen = Audience(audience_id, audience, {"listId": list_id} if list_id else {})
    settings = {"userIdField": user_id} | ({"apiKey": api_key} if api_key else {})

    async def play() -> None:
        async with MParticle(url, account_id=account, settings=settings) as player:
            await play_story(
                player,
                chosen,
                terminal.line,
                members=members,
                leave=leave,
                merge=merge,
                rate=rate,
                disconnect=disconnect,
                erase=erase,
            )

    try:
        asyncio.run(play())
    except RefusedError as error:
        terminal.say(
            f"The endpoint did not take a message ({error}). Check the address, the token in it and the log.", "red"
        )
        return ExitCode.FAILED
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    return ExitCode.OK


def _platform(port: int) -> ExitCode:
    from sandbox.mparticle.lifecycle import serve

    terminal = Terminal()
    try:
        asyncio.run(serve(port, ready=terminal.line))
    except OSError as error:
        terminal.say(f"Port {port} is not available ({reason(error)}). Choose another with --port.", "red")
        return ExitCode.BAD_INPUT
    return ExitCode.OK


@app.command()
def samples(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the two downloads are written to.")],
) -> ExitCode:
    """Write two sample audience downloads: an audience, and the same one a week later."""
    from sandbox.sample_audiences import write_first, write_later

    terminal = Terminal()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for write in (write_first, write_later):
            terminal.line(str(write(folder)))
    except OSError as error:
        terminal.say(f"{folder} can't be written ({error.strerror}). Choose another folder.", "red")
        return ExitCode.BAD_INPUT
    return ExitCode.OK


def reason(error: OSError) -> str:
    """Return the reason of an error in the system's words. asyncio's message would repeat the address."""
    return os.strerror(error.errno) if error.errno else str(error)


def announce(terminal: Terminal, running: "Running") -> None:
    """Print how to use a local Iterable."""
    terminal.line(f"A local Iterable answers at {running.url}. Press Ctrl-C to stop it. Its lists:")
    for each in running.state.lists_of(running.state.project()):
        terminal.line(f"  {each.id}  {each.name} ({each.type})")
    terminal.line("To sync to it, run in another terminal:")
    terminal.line(f"  export ITERABLE_SYNC_ITERABLE_URL={running.url}")
    terminal.line(f"  export ITERABLE_API_KEY={running.key}")
    terminal.line("  iterable-sync sandbox samples samples")
