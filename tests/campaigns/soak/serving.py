"""The processes of the soak: `iterable-sync serve`, killed and restarted, each at its own interval."""

import asyncio
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

from tests.campaigns.soak.figures import Figures, Sample
from tests.campaigns.soak.storage import Storage

ROOT = Path(__file__).parents[3]
TOKEN = "a-token-of-the-soak"
_TIME = re.compile(r"^\d{4}-\d\d-\d\dT", re.M)


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
        self._storage = storage
        self._log = data_dir.parent / f"serve-{port}.log"
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("SLACK_", "ITERABLE_"))},
            "ITERABLE_SYNC_ITERABLE_URL": iterable_url,
            "ITERABLE_SYNC_DATA_DIR": str(data_dir),
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

    async def kill_repeatedly(self, until: float, figures: Figures, all_processes: list["Serve"]) -> None:
        """Kill and restart the process until it is time to stop; sample its resources before each kill."""
        while time.monotonic() + self.every < until:
            await asyncio.sleep(self.every)
            if self.has_ended:
                figures.wrong.append("a process ended by itself")
            else:
                if self is all_processes[0]:
                    figures.samples.append(self.sample(all_processes))
                self.kill()
            figures.kills += 1
            self.start()
            print(f"killed {figures.kills} times; {figures.runs} runs, {figures.messages} messages", flush=True)

    def sample(self, all_processes: list["Serve"]) -> Sample:
        """The current resources of this process, and the stored data of all."""
        assert self._process is not None
        status = Path(f"/proc/{self._process.pid}/status").read_text(encoding="ascii")
        memory = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
        files = len(list(Path(f"/proc/{self._process.pid}/fd").iterdir()))
        sizes = self._storage.sizes(sorted({each.data_dir for each in all_processes}))
        return Sample(memory / 1024, files, sizes.parts, sizes.history)


def unexpected(data_dirs: set[Path]) -> int:
    """The number of unexpected errors: each begins with its time in one of the two log files for them."""
    logs = [each / name for each in data_dirs for name in ("error.log", "error.log.1")]
    return sum(len(_TIME.findall(each.read_text(encoding="utf-8"))) for each in logs if each.exists())
