"""`iterable-sync demo`: a tour in the terminal, against a local Iterable, with the code that `sync` runs."""

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bot.cli.codes import Code
from bot.cli.command import Session, carry_out

if TYPE_CHECKING:
    from bot.cli.terminal import Terminal
    from core.settings import Settings
    from sandbox.iterable import Running
    from sandbox.samples import Member

# Requests a second: slow enough to see something.
RATE = 2.0


def demo(
    tour: Annotated[bool, typer.Option("--tour", help="Play the tour in the terminal (for now, always).")] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="The local Iterable's port, 0 for a free one.")] = 0,
) -> Code:
    """Show a sync from beginning to end. Nothing real is touched."""
    return carry_out(lambda session: _tour(session, port))


async def _tour(session: Session, port: int) -> Code:
    from bot.cli.sandbox import reason
    from core.errors import InputError
    from sandbox.iterable import running

    with tempfile.TemporaryDirectory(prefix="iterable-sync-demo-") as folder:
        try:
            async with running(port=port) as iterable:
                return await _play(session, iterable, Path(folder))
        except OSError as error:
            why = reason(error)
            raise InputError(f"Port {port} can't be listened at ({why}). Choose another with --port.") from error


async def _play(session: Session, iterable: "Running", folder: Path) -> Code:
    from sandbox import samples

    terminal = session.terminal
    here = Session(_settings(iterable, folder / "data"), terminal, session.interruption)
    target = iterable.state.add_list("Spring shoppers")
    _tell(
        terminal,
        "A first sync",
        f'A local Iterable runs at {iterable.url}. It has a new, empty list: {target.id} "{target.name}". '
        "From mParticle somebody has downloaded the audience SpringShoppers: about 5,000 profiles, some without an "
        "email, some with one that is none, some that Iterable has been told to forget.",
    )
    code = await _sync(here, samples.write_first(folder), target.id)
    if code is Code.OK:
        _compare(terminal, iterable, target.id, samples.first())
        _tell(
            terminal,
            "A week later",
            "The audience was downloaded again. Some people have left it, some have joined, and some have a new "
            "address. Only the difference is sent.",
        )
        code = await _sync(here, samples.write_later(folder), target.id)
    if code is Code.OK:
        _compare(terminal, iterable, target.id, samples.later())
        _farewell(terminal)
    return code


async def _sync(session: Session, file: Path, list_id: int) -> Code:
    from bot.cli.sync import Order, run_order

    session.terminal.line(f"\n$ iterable-sync sync {file.name} --list {list_id}\n", "bold cyan")
    return await run_order(session, Order(file, list_id, rate=RATE))


def _settings(iterable: "Running", data_dir: Path) -> "Settings":
    """Settings of the demo's own, so that nothing of the real ones is touched."""
    from core.settings import Settings

    return Settings.model_validate(
        {
            "ITERABLE_API_KEY": iterable.key,
            "iterable_url": iterable.url,
            "data_dir": data_dir,
            "database_url": None,
            "secret_key": None,
        }
    )


def _compare(terminal: "Terminal", iterable: "Running", list_id: int, members: "list[Member]") -> None:
    """Hold the list in the local Iterable against the audience, and say what is found."""
    from sandbox import samples

    wanted = samples.emails(members)
    found = {email for email, _ in iterable.state.members(list_id) if email}
    missing, too_many = len(wanted - found), len(found - wanted)
    equal = not missing and not too_many
    terminal.line(
        f"\nCompared, address by address: {len(wanted):,} people of the audience can be on the list, and the list in "
        f"the local Iterable holds {len(found):,}; {missing:,} are missing, {too_many:,} are too many. "
        + ("They are equal." if equal else "They are NOT equal, which should never be: please report it."),
        "green" if equal else "bold red",
    )


def _tell(terminal: "Terminal", title: str, story: str) -> None:
    from rich.text import Text

    terminal.show(Text.assemble("\n", (f"{title}\n", "bold magenta"), story))


def _activation() -> str:
    """The line that puts the command on the path, where it is not."""
    if shutil.which("iterable-sync") or sys.prefix == sys.base_prefix:
        return ""
    return f"  source {os.path.relpath(sys.prefix)}/bin/activate\n"


def _farewell(terminal: "Terminal") -> None:
    _tell(
        terminal,
        "What to try next",
        "The demo leaves nothing behind. For more, a local Iterable of your own, and the same downloads:\n"
        f"{_activation()}"
        "  iterable-sync sandbox iterable     (then, in another terminal, what it says)\n"
        "  iterable-sync sandbox samples samples\n"
        "  iterable-sync sync samples/spring-shoppers.zip --list 1001 --dry-run\n"
        "With a real project: check the settings, look before you send, then send.\n"
        "  export ITERABLE_API_KEY=...        (or: iterable-sync connections add NAME)\n"
        "  iterable-sync doctor\n"
        "  iterable-sync sync audience.zip --list 1234 --dry-run\n"
        "  iterable-sync sync audience.zip --list 1234",
    )
