"""Mixed work for an hour while a fifth of Iterable's answers fail and the processes are killed repeatedly.

    python -m tests.campaigns.soak [--postgresql] [--minutes 60]

`iterable-sync serve` syncs files (mirror, delta, add; three mappings, two of them to one list) and live messages, and
is killed (SIGKILL) every two and a half minutes and restarted. With --postgresql, three processes run at the same time, are killed at
different intervals, and one of them stands for another machine. That one is also paused (SIGSTOP), and the database is
stopped every ten minutes. At the end the faults stop, every audience is synced
once more, and each list must contain exactly the right people. Memory, open files and the size of the data are sampled
once a minute. A day takes a minute, and data that is kept for days is kept for two minutes
(tests/campaigns/hurried.py), so that all of it must be stable from the fourth minute on. The figures go to
docs/reports/soak.md; the exit code is 1 if there was a problem, including growth.
"""

import argparse
import asyncio
import logging
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import aiohttp
from cryptography.fernet import Fernet
from pydantic import SecretStr

from core.engine import open_engine
from core.settings import Settings
from tests.campaigns import hurried
from tests.campaigns.soak.disturbances import (
    OUTAGE_EVERY_S,
    OUTAGE_S,
    PAUSE_EVERY_S,
    PAUSES_S,
    Disturbances,
    until_ready,
)
from tests.campaigns.soak.feeding import OTHER, PACE_S, SHARED, LiveFeeder, feeders
from tests.campaigns.soak.figures import Figures
from tests.campaigns.soak.serving import ROOT, Serve, free_port, unexpected
from tests.campaigns.soak.storage import Postgresql, Sqlite, Storage, on_postgresql

DOCS = ROOT / "docs" / "reports" / "soak.md"
KILL_EVERY_S = 150.0
# The other processes are killed at other moments. The work of the process on the other machine is taken over after 80
# seconds of silence.
OTHERS_EVERY_S = (97.0, 127.0)
SHARE_OF_FAULTS = 0.2
# Faults of all kinds, each with an equal part of the share.
KINDS: tuple[Mapping[str, Any], ...] = (
    {"action": "error"},
    {"action": "html"},
    {"action": "error", "status": 503},
    {"action": "reset"},
    {"action": "reset", "applied": True},
    {"action": "truncated"},
    {"action": "not_json"},
    {"action": "throttle", "retry_after": 0.2},
)
ONE = "One process on SQLite"
SEVERAL = "Several processes on PostgreSQL"
INTRODUCTION = f"""\
# Soak

`iterable-sync serve` synced files (mirror, delta, add; three mappings, two of them to one list) and live messages, while
{SHARE_OF_FAULTS:.0%} of Iterable's answers failed and processes were killed (SIGKILL) and restarted. A day took a minute, and what is kept for days
was kept for {hurried.KEEP_S / 60:g} minutes (`tests/campaigns/hurried.py`), so that growth and cleanup came into balance. Each audience was synced
{PACE_S:g} seconds after its last sync had started, or as soon as that had ended.

The history (runs with their numbers, and the audit table) is kept forever, and grows by the run. Everything else is bounded:
changes of runs, rejections, ids of messages and time stamps of changes expire; files of
killed processes are deleted. Databases reuse freed pages and do not return them, so they keep their largest size.
"""
HOW = {
    ONE: f"""\
`python -m tests.campaigns.soak`: one process, killed every {KILL_EVERY_S:g} seconds.""",
    SEVERAL: f"""\
`python -m tests.campaigns.soak --postgresql`: three processes at once, each receiving live messages and executing runs. One was
killed every {KILL_EVERY_S:g} seconds, one every {OTHERS_EVERY_S[0]:g}, and one, with its own data directory as on another machine, every {OTHERS_EVERY_S[1]:g}. That one was also
paused {PAUSE_EVERY_S:g} seconds after its last pause: for {PAUSES_S[0]:g} seconds and for {PAUSES_S[1]:g} in turn; after the longer pauses it counts as dead. The server of
the database was stopped every {OUTAGE_EVERY_S / 60:g} minutes, for {OUTAGE_S:g} seconds. A process that is started during an outage, or wakes after it counted as dead,
ends by itself, and is restarted as a supervisor would do it.""",
}


async def soak(storage: Storage, minutes: float, directory: Path) -> Figures:
    """Work for this many minutes, and compare."""
    figures = Figures()
    port = free_port()
    iterable_url = f"http://127.0.0.1:{port}"
    iterable = subprocess.Popen(
        [sys.executable, "-m", "sandbox.iterable", "--port", str(port), "--bulk-per-second", "0"],
        stdout=subprocess.DEVNULL,
    )
    secret_key = Fernet.generate_key().decode()
    settings = Settings(
        iterable_url=iterable_url,
        data_dir=directory / "data",
        database_url=SecretStr(storage.url) if storage.url else None,
        secret_key=SecretStr(secret_key),
        _env_file=None,  # type: ignore[call-arg]
    )
    processes = [Serve(directory / "data", iterable_url, storage, secret_key, KILL_EVERY_S)]
    if storage.url is not None:
        for name, every in zip(("data", "elsewhere"), OTHERS_EVERY_S, strict=True):
            processes.append(Serve(directory / name, iterable_url, storage, secret_key, every))
    try:
        await _until_answers(iterable_url)
        live_list_id = (await _control(iterable_url, "POST", "/lists", name="Live"))["id"]
        async with open_engine(settings, "soak") as engine:
            files = await feeders(engine, directory, figures)
            live_feeder = LiveFeeder(processes, live_list_id, figures)
            each = SHARE_OF_FAULTS / len(KINDS)
            await _control(iterable_url, "PUT", "/faults", faults=[{**kind, "probability": each} for kind in KINDS])
            for process in processes:
                process.start()
            await until_ready(processes)
            until = time.monotonic() + minutes * 60
            async with asyncio.TaskGroup() as group:
                for feeder in files:
                    group.create_task(feeder.feed(until))
                group.create_task(live_feeder.feed(until))
                disturbances = Disturbances(processes, storage, figures, until)
                group.create_task(disturbances.sample())
                for process in processes:
                    group.create_task(disturbances.kill(process))
                    group.create_task(disturbances.supervise(process))
                if isinstance(storage, Postgresql):
                    group.create_task(disturbances.pause(processes[-1]))
                    group.create_task(disturbances.cut_off(storage))
            await _control(iterable_url, "DELETE", "/faults")
            for feeder in files:
                await feeder.mirror()
            await live_feeder.wait_until_delivered(engine)
            figures.samples.append(processes[0].sample(processes))
            figures.records = storage.records()
            figures.judge_growth()
            if errors := unexpected(processes, figures.outages):
                figures.wrong.append(f"{errors} unexpected errors, in error.log")
            expected = {
                SHARED: files[0].emails | files[1].emails,
                OTHER: files[2].emails,
                live_list_id: live_feeder.emails,
            }
            for list_id, emails in expected.items():
                members = {email for email, _ in await _control(iterable_url, "GET", f"/lists/{list_id}/members")}
                if members != emails:
                    figures.wrong.append(
                        f"list {list_id}: {len(emails - members)} missing, {len(members - emails)} too many"
                    )
    finally:
        for process in processes:
            process.kill()
        iterable.terminate()
        iterable.wait()
    used = (resource.getrusage(of) for of in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    figures.cpu_s = sum(each.ru_utime + each.ru_stime for each in used)
    return figures


async def _control(url: str, method: str, path: str, **json: Any) -> Any:
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, f"{url}/_sandbox{path}", json=json) as response,
    ):
        response.raise_for_status()
        return await response.json()


async def _until_answers(url: str) -> None:
    async with asyncio.timeout(30):
        while True:
            with suppress(aiohttp.ClientError):
                await _control(url, "GET", "")
                return
            await asyncio.sleep(0.1)


def write(title: str, section: str) -> None:
    """Replace a section of the page; the other stays unchanged."""
    page = DOCS.read_text(encoding="utf-8") if DOCS.exists() else ""
    parts = re.split(r"^## (.+)\n\n", page, flags=re.M)[1:]
    sections = {**dict(zip(parts[::2], parts[1::2], strict=True)), title: section}
    section_texts = [f"## {each}\n\n{sections[each].strip()}\n" for each in (ONE, SEVERAL) if each in sections]
    DOCS.write_text("\n".join([INTRODUCTION, *section_texts]), encoding="utf-8")


def main() -> None:
    """Read the arguments, work, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--postgresql", action="store_true", help="several processes on PostgreSQL")
    arguments = parser.parse_args()
    logging.getLogger("core").setLevel(logging.CRITICAL)  # the outages are intended
    title = SEVERAL if arguments.postgresql else ONE
    directory = Path(tempfile.mkdtemp(prefix="iterable-sync-soak-"))
    with on_postgresql() if arguments.postgresql else nullcontext(Sqlite(directory / "data")) as storage:
        figures = asyncio.run(soak(storage, arguments.minutes, directory))
    if figures.wrong:
        print(f"The logs are in {directory}.")
    else:
        shutil.rmtree(directory)
    section = figures.section(HOW[title], arguments.minutes)
    print(section)
    write(title, section)
    sys.exit(bool(figures.wrong))


if __name__ == "__main__":
    main()
