"""A process of the soak: `iterable-sync serve`, which can be killed, paused and restarted."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from tests.campaigns.soak.figures import Sample
from tests.campaigns.soak.storage import Storage

ROOT = Path(__file__).parents[3]
TOKEN = "a-token-for-the-whole-soak"
_TIME = re.compile(r"^\d{4}-\d\d-\d\dT\S+", re.M)
# Connections may be broken for so many seconds after the database is back, or the process was paused.
SETTLING_S = 30.0


def free_port() -> int:
    """A port of this machine without a listener."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


class Serve:
    """`iterable-sync serve` as a process."""

    def __init__(self, data_dir: Path, iterable_url: str, storage: Storage, secret_key: str, every: float) -> None:
        """Store the data directory, and the seconds between kills."""
        port = free_port()
        self.data_dir = data_dir
        self.every = every
        self.url = f"http://127.0.0.1:{port}/mparticle/firehose/{TOKEN}"
        self.ready_url = f"http://127.0.0.1:{port}/readyz"
        #: Whether the process is paused at the moment.
        self.is_paused = False
        #: Whether the process may end by itself: it was started without a database, or paused until it counted as dead.
        self.may_end = False
        #: When the process continued after each pause (Unix time).
        self.woken_at: list[float] = []
        self._storage = storage
        self._log = data_dir.parent / f"serve-{port}.log"
        self._log_begins_at = 0
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("SLACK_", "ITERABLE_"))},
            "ITERABLE_SYNC_ITERABLE_URL": iterable_url,
            "ITERABLE_SYNC_DATA_DIR": str(data_dir),
            "ITERABLE_SYNC_AUDIENCE_PATHS": str(data_dir.parent),
            "ITERABLE_SYNC_FIREHOSE_TOKEN": TOKEN,
            "ITERABLE_SYNC_FIREHOSE_APPROVAL": "none",
            "ITERABLE_SYNC_PORT": str(port),
            "ITERABLE_SYNC_SECRET_KEY": secret_key,
        }
        if storage.url is not None:
            self._environment["ITERABLE_SYNC_DATABASE_URL"] = storage.url
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process."""
        self.is_paused, self.may_end = False, self._storage.is_away
        self._log_begins_at = self._log.stat().st_size if self._log.exists() else 0
        command = [sys.executable, "-m", "tests.campaigns.hurried", "serve"]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, cwd=ROOT, env=self._environment, stdout=log, stderr=log)

    def kill(self) -> None:
        """End the process at once, if it was started."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    @property
    def has_ended(self) -> bool:
        """Whether the process ended by itself."""
        return self._process is not None and self._process.poll() is not None

    @property
    def log(self) -> str:
        """What the process has logged since its last start."""
        return self._log.read_bytes()[self._log_begins_at :].decode()

    @property
    def was_ready(self) -> bool:
        """Whether the process has been ready since its last start, so it has opened the database."""
        return "\nReady." in self.log

    def pause(self) -> None:
        """Pause the process (SIGSTOP), whatever it is doing."""
        assert self._process is not None
        self.is_paused = True
        self._process.send_signal(signal.SIGSTOP)

    def wake(self) -> None:
        """Let the process continue, as if no time had passed."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)
        self.woken_at.append(time.time())
        self.is_paused = False

    def sample(self, all_processes: list["Serve"]) -> Sample:
        """The current resources of this process, and the stored data of all."""
        assert self._process is not None
        status = Path(f"/proc/{self._process.pid}/status").read_text(encoding="ascii")
        memory = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
        files = len(list(Path(f"/proc/{self._process.pid}/fd").iterdir()))
        sizes = self._storage.sizes(sorted({each.data_dir for each in all_processes}))
        return Sample(memory / 1024, files, sizes.parts, sizes.history)


def unexpected(processes: Sequence[Serve], outages: Sequence[tuple[float, float]]) -> int:
    """The number of errors in the log files for them, except those while the database was away or after a pause.

    The database ends the sessions of a process that is paused within a transaction. `outages` are times of beginning
    and end, in Unix time. Each error begins with its time.
    """
    errors = 0
    for data_dir in {each.data_dir for each in processes}:
        woken_at = [at for each in processes if each.data_dir == data_dir for at in each.woken_at]
        periods = [*outages, *((at, at) for at in woken_at)]
        logs = [path for name in ("error.log", "error.log.1") if (path := data_dir / name).exists()]
        times = [
            datetime.fromisoformat(text) for each in logs for text in _TIME.findall(each.read_text(encoding="utf-8"))
        ]
        errors += sum(
            not any(began - 1.0 <= at.timestamp() <= ended + SETTLING_S for began, ended in periods) for at in times
        )
    return errors
