"""Runs the real command, and a local Iterable for it."""

import contextlib
import io
import json
import logging
import os
import pty
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from bot.cli import main

COMMAND = Path(sys.executable).with_name("iterable-sync")
# Far longer than any command of the tests takes, in seconds.
DEADLINE_S = 60.0
# Makes standard input the terminal of the process, so that Ctrl-C there is a signal, and becomes the command.
ON_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
)


def until(condition: Callable[[], object], deadline_s: float = DEADLINE_S) -> None:
    """Wait until a condition holds. Raises AssertionError after `deadline_s` seconds."""
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.02)


@dataclass(frozen=True)
class LocalIterable:
    """A local Iterable in a process of its own, and its control API."""

    url: str
    key: str

    def control(self, method: str, path: str, body: object = None) -> Any:
        """Call the control API, and return the answer."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/_sandbox{path}", data=data, method=method)
        with urllib.request.urlopen(request) as answer:
            return json.loads(answer.read())

    def new_list(self, kind: str = "Standard") -> int:
        """Create an empty list, and return its id."""
        return int(self.control("POST", "/lists", {"name": "Test", "type": kind})["id"])

    def emails(self, list_id: int) -> set[str]:
        """Return the emails of a list's members."""
        return {email for email, _ in self.control("GET", f"/lists/{list_id}/members")}

    def requests(self, path: str) -> int:
        """Return how many requests a path got since the log was emptied."""
        return len(self.control("GET", f"/requests?path={path}")["requests"])


@contextmanager
def local_iterable() -> Iterator[LocalIterable]:
    """Run a local Iterable without a rate limit for the length of the block."""
    command = [sys.executable, "-m", "sandbox.iterable", "--bulk-per-second", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().removeprefix("Local Iterable: ").strip()
        key = process.stdout.readline().removeprefix("Api-Key: ").strip()
        try:
            yield LocalIterable(url, key)
        finally:
            process.send_signal(signal.SIGTERM)


@dataclass(frozen=True)
class Result:
    """The exit code and the output of a command. On a terminal `err` contains all output but a piped standard
    output."""

    code: int
    out: str
    err: str

    @property
    def object(self) -> dict[str, Any]:
        """The JSON object. Raises AssertionError if standard output has more than that one line."""
        lines = self.out.splitlines()
        assert len(lines) == 1, self.out
        content: dict[str, Any] = json.loads(lines[0])
        return content


@dataclass
class Commands:
    """Runs `iterable-sync` in its own folder, as a process or in this process, and checks all that it writes."""

    folder: Path
    iterable: LocalIterable
    env: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.env = {
            "PATH": os.environ["PATH"],
            "TMPDIR": tempfile.gettempdir(),
            "COLUMNS": "300",
            "PYTHONWARNINGS": "error::ResourceWarning",
            "ITERABLE_API_KEY": self.iterable.key,
            "ITERABLE_SYNC_ITERABLE_URL": self.iterable.url,
            "ITERABLE_SYNC_DATA_DIR": str(self.folder / "data"),
            **self.env,
        }

    def __call__(self, *args: object, stdin: str = "", env: Mapping[str, str] | None = None) -> Result:
        """Run a command to its end in a process of its own."""
        done = subprocess.run(
            [COMMAND, *map(str, args)],
            input=stdin,
            capture_output=True,
            text=True,
            env={**self.env, **(env or {})},
            cwd=self.folder,
            timeout=2 * DEADLINE_S,
            check=False,
        )
        return self._checked(Result(done.returncode, done.stdout, done.stderr))

    def here(self, *args: object, stdin: str = "", env: Mapping[str, str] | None = None) -> Result:
        """Run a command in this process, which saves a second or two for the imports."""
        out, err, root = io.StringIO(), io.StringIO(), logging.getLogger()
        handlers, level, on_thread_error = root.handlers[:], root.level, threading.excepthook
        with (
            mock.patch.dict(os.environ, {**self.env, **(env or {})}, clear=True),
            mock.patch("sys.stdin", io.StringIO(stdin)),
            contextlib.chdir(self.folder),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            try:
                main([str(arg) for arg in args])
            except SystemExit as ended:
                code = ended.code
            finally:
                root.handlers, root.level, threading.excepthook = handlers, level, on_thread_error
        assert isinstance(code, int)
        return self._checked(Result(code, out.getvalue(), err.getvalue()))

    @contextmanager
    def started(self, *args: object) -> Iterator["Started"]:
        """Start a command, and kill it at the end of the block if it still runs."""
        out, err = self.folder / "out.txt", self.folder / "err.txt"
        with out.open("w") as out_file, err.open("w") as err_file:
            process = subprocess.Popen(
                [COMMAND, *map(str, args)], stdout=out_file, stderr=err_file, env=self.env, cwd=self.folder
            )
        with process:
            try:
                yield Started(process, out, err)
            finally:
                process.kill()

    def on_terminal(self, *args: object, wait_for: str, answer: str) -> Result:
        """Run a command on a terminal, and type an answer once a text appears. Standard output is a pipe."""
        master, slave = pty.openpty()
        with subprocess.Popen(
            [sys.executable, "-c", ON_TERMINAL, COMMAND, *map(str, args)],
            stdin=slave,
            stdout=subprocess.PIPE,
            stderr=slave,
            text=True,
            env={**self.env, "TERM": "xterm"},
            cwd=self.folder,
            start_new_session=True,
        ) as process:
            os.close(slave)
            shown = _read_until(master, wait_for)
            os.write(master, answer.encode())
            shown += _read_until(master, None)
            assert process.stdout is not None
            out = process.stdout.read()
        os.close(master)
        return self._checked(Result(process.returncode, out, shown))

    def audience(self, numbers: Iterable[int], *extra: str, name: str = "audience.csv") -> Path:
        """Write a table of members, and return its path. `extra`: more rows (email, customer id)."""
        rows = ["email,customer_id", *(f"p{n}@example.com,c{n}" for n in numbers), *extra]
        path = self.folder / name
        path.write_text("\n".join(rows) + "\n")
        return path

    def _checked(self, result: Result) -> Result:
        written = result.out + result.err
        assert "Traceback" not in written, written
        assert self.iterable.key not in written
        assert "@example.com" not in written
        return result


@dataclass
class Started:
    """A command that is running."""

    process: subprocess.Popen[bytes]
    out: Path
    err: Path

    def ended(self) -> Result:
        """Wait for the end of the command, and return its result."""
        code = self.process.wait(DEADLINE_S)
        return Result(code, self.out.read_text(), self.err.read_text())


def _read_until(master: int, text: str | None) -> str:
    """Read the output of a terminal up to a text, or to its end."""
    shown = b""
    while text is None or text.encode() not in shown:
        try:
            chunk = os.read(master, 65536)
        except OSError:  # the process has closed the other end
            chunk = b""
        if not chunk:
            assert text is None, shown
            break
        shown += chunk
    return shown.decode(errors="replace")
