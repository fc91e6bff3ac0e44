"""Executes commands in one shell on a terminal, as a reader of a page types them."""

import fcntl
import os
import pty
import re
import select
import shlex
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.bot.cli.commands import ON_TERMINAL
from tests.documents import Command

COLUMNS = 120
# How long a whole page may take, in seconds.
_DEADLINE_S = 240.0
# Commands that do not end: they are executed in the background, until they have printed one of these texts.
_SERVES = re.compile(r"iterable-sync (?:serve|worker|sandbox (?:iterable|slack|mparticle(?!.*--url)))\b")
_READY = "Ready\\. Press Ctrl-C|sandbox samples samples|audiences connect CONNECTION"
_BEFORE = f"""\
set -o pipefail
children=()
trap 'for child in "${{children[@]}}"; do kill "$child"; done; wait' EXIT
serving() {{
    : > ".log.$1.$#"
    "$@" > ".log.$1.$#" 2>&1 &
    children+=($!)
    until grep --quiet --extended-regexp {shlex.quote(_READY)} ".log.$1.$#"; do
        kill -0 $! || break
        sleep 0.05
    done
    cat ".log.$1.$#"
    kill -0 $!
}}
"""
_END = "@@ended"


@dataclass(frozen=True)
class Outcome:
    """What became of a command: its exit code, and all that the terminal showed."""

    command: Command
    code: int
    shown: str


def execute(
    commands: Sequence[Command], folder: Path, env: Mapping[str, str], answers: Mapping[str, str]
) -> list[Outcome]:
    """Execute commands one after the other in a shell in a folder, and return what became of each.

    `answers` are typed when the terminal shows their question. Commands that serve run in the background until the end.
    """
    script = folder / ".script"
    script.write_text(_BEFORE + "".join(map(_executed, commands)), encoding="utf-8")
    shown = _on_terminal(["/bin/bash", str(script)], folder, env, answers)
    parts = re.split(rf"\n?{_END} (\d+)\n", shown.replace("\r\n", "\n"))
    return [
        Outcome(command, int(code), text)
        for command, text, code in zip(commands, parts[0::2], parts[1::2], strict=False)
    ]


def matches(expected: Iterable[str], shown: str) -> bool:
    """Whether the terminal showed what a page says. `...` stands for any text, and alone on a line for any lines."""
    lines = shown.rstrip("\n") + "\n"
    return re.fullmatch("".join(map(_pattern, expected)), lines) is not None


def _pattern(line: str) -> str:
    """The expression for a line. Spaces around `...`, which align columns, stand for any."""
    if line.strip() == "...":
        return r"(?:.*\n)*?"
    return ".*".join(map(re.escape, re.split(r" *\.\.\. *", line.rstrip()))) + r" *\n"


def _executed(command: Command) -> str:
    text = f"serving {command.text}" if _SERVES.match(command.text) else command.text
    return f"{text}\nprintf '\\n{_END} %s\\n' $?\n"


def _on_terminal(command: Sequence[str], folder: Path, env: Mapping[str, str], answers: Mapping[str, str]) -> str:
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, COLUMNS, 0, 0))
    attributes = termios.tcgetattr(slave)
    attributes[3] &= ~termios.ECHO
    termios.tcsetattr(slave, termios.TCSANOW, attributes)
    with subprocess.Popen(
        [sys.executable, "-c", ON_TERMINAL, *command],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**env, "TERM": "dumb", "COLUMNS": str(COLUMNS)},
        cwd=folder,
        start_new_session=True,
    ) as process:
        os.close(slave)
        try:
            shown = _conversation(master, answers)
            process.wait(_DEADLINE_S)
            return shown
        finally:
            os.close(master)
            with suppress(ProcessLookupError):  # all have ended: that is so if nothing hangs
                os.killpg(process.pid, signal.SIGKILL)


def _conversation(master: int, answers: Mapping[str, str]) -> str:
    """Return all that a terminal shows up to its end, and answer the questions."""
    shown, answered, end = b"", 0, time.monotonic() + _DEADLINE_S
    while True:
        readable, _, _ = select.select([master], [], [], max(0.0, end - time.monotonic()))
        assert readable, f"it took too long:\n{shown.decode(errors='replace')}"
        try:
            chunk = os.read(master, 65536)
        except OSError:  # the shell has closed the other end
            chunk = b""
        if not chunk:
            return shown.decode()
        shown += chunk
        for question, answer in answers.items():
            if shown[answered:].rstrip(b" ").endswith(question.encode()):
                answered = len(shown)
                os.write(master, f"{answer}\n".encode())
