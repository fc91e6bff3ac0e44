"""What a page takes for granted: connections, mappings and files of the reader, and local services."""

import asyncio
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from sandbox.mparticle.lifecycle import running as mparticle
from sandbox.mparticle.platform import DEFAULT_ACCOUNT, Platform, sample_audiences
from sandbox.receivers.webhook import receiving
from sandbox.sample_audiences import write_first
from sandbox.slack.lifecycle import running as slack
from tests.bot.cli.commands import Commands, Result, until

T = TypeVar("T")
ROOT = Path(__file__).parents[2]


@dataclass
class Situation:
    """A reader's folder, environment and local services. `stands_for` has the values of the page's placeholders."""

    run: Commands
    stack: ExitStack
    stands_for: dict[str, str] = field(default_factory=dict)
    answers: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.port = _free_port()
        self.run.env |= {
            "PYTHONWARNINGS": "",
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(self.run.folder),
            "ITERABLE_SYNC_PORT": str(self.port),
            "TZ": "UTC",
        }
        self.stands_for |= {"ITERABLE_API_KEY=...": f"ITERABLE_API_KEY={self.run.iterable.key}"}
        self.answers |= {"Routing key or password (it is not shown):": "0123456789abcdef0123456789abcdef", "[y/N]": "y"}
        self.run.iterable.control("PATCH", "/settings", {"limits": {"size": 0, "getUsers": 0}})

    def does(self, *words: object) -> Result:
        """Execute a command that the reader has executed before."""
        done = self.run.here(*words)
        assert done.code == 0, done
        return done

    def mappings(self, number: int, connection: str = "Shop") -> None:
        """A connection, and mappings 1 to `number` of it, which have been synced."""
        self.does("connections", "add", connection, "--rate", 0)
        for each in range(number):
            audience = self.run.audience(range(10 * each, 10 * each + 5))
            list_id = (1001, 1002)[each] if each < 2 else self.run.iterable.new_list()
            self.does("sync", audience, "--connection", connection, "--list", list_id)

    def download(self, name: str) -> None:
        """A download of mParticle."""
        write_first(self.run.folder).rename(self.run.folder / name)

    def table(self, name: str, text: str) -> None:
        """A file."""
        (self.run.folder / name).write_text(text, encoding="utf-8")

    def folder(self, *addresses: str) -> None:
        """Folders of the page, which are in the reader's folder during the test."""
        for address in addresses:
            own = self.run.folder / address.strip("/")
            own.mkdir(parents=True)
            self.stands_for[address] = f"{own}/"[: len(str(own)) + address.endswith("/")]

    def serves(self) -> None:
        """`serve` is running."""
        command = self.stack.enter_context(self.run.started("serve"))
        until(lambda: "Ready" in command.out.read_text())

    def token(self, *scopes: str) -> str:
        """A token of the API."""
        options = [word for scope in scopes for word in ("--scope", scope)]
        return self.does("tokens", "create", scopes[0], *options).out.split()[-1]

    def local(self, service: AbstractAsyncContextManager[T]) -> T:
        """A service that runs in a thread until the page has ended."""
        return self.stack.enter_context(_in_thread(service))

    def bucket(self, name: str) -> None:
        """A bucket in a local S3."""
        import boto3  # both take a second to import
        import moto.server

        server = moto.server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        server.start()
        self.stack.callback(server.stop)
        host, port = server.get_host_and_port()
        keys = {"AWS_ACCESS_KEY_ID": "example", "AWS_SECRET_ACCESS_KEY": "example", "AWS_DEFAULT_REGION": "us-east-1"}
        self.run.env |= {"AWS_ENDPOINT_URL": f"http://{host}:{port}", **keys}
        client = boto3.client(
            "s3", endpoint_url=f"http://{host}:{port}", aws_access_key_id="example", aws_secret_access_key="example"
        )
        client.create_bucket(Bucket=name)
        client.close()


def _readme(reader: Situation) -> None:
    reader.download("audience.zip")
    reader.stands_for["--list 1234"] = "--list 1001"


def _tutorial(reader: Situation) -> None:
    port = _free_port()
    reader.stands_for |= {
        "sandbox iterable": f"sandbox iterable --port {port}",
        "http://127.0.0.1:8970": f"http://127.0.0.1:{port}",
        "runs rejects RUN": "runs rejects $(iterable-sync runs export | python3 -c "
        "'import json; print(json.loads(input())[\"run_id\"])')",
    }


def _alerts(reader: Situation) -> None:
    reader.mappings(3)
    receiver = reader.local(receiving())
    reader.stands_for |= {
        "https://hooks.example.com/": f"{receiver.url}/",
        "https://sync.example.com": f"http://127.0.0.1:{reader.port}",
    }
    reader.run.env["DD_KEY"] = "example"
    reader.run.env["TOKEN"] = reader.token("admin")
    reader.serves()


def _check(reader: Situation) -> None:
    reader.mappings(1)
    reader.run.iterable.control("POST", "/lists/1001/people", {"remove": ["p1@example.com", "p2@example.com"]})


def _configuration(reader: Situation) -> None:
    reader.run.env |= {
        "ITERABLE_KEY_SHOP": reader.run.iterable.key,
        "OPS_URL": reader.local(receiving()).url,
        "OPS_SECRET": "whsec_QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo=",
    }


def _mparticle(reader: Situation) -> None:
    platform = Platform(accounts={DEFAULT_ACCOUNT: sample_audiences()})
    reader.run.env["ITERABLE_SYNC_MPARTICLE_URL"] = reader.local(mparticle(platform)).url
    reader.run.env["ITERABLE_SYNC_FIREHOSE_TOKEN"] = "a" * 48
    reader.does("connections", "add", "Shop", "--rate", 0)
    reader.stands_for |= {
        "--client-id ID": f"--client-id {platform.client_id}",
        "http://127.0.0.1:8080/": f"http://127.0.0.1:{reader.port}/",
        "/firehose/TOKEN": f"/firehose/{'a' * 48}",
        "--api-key KEY": f"--api-key {reader.run.iterable.key}",
    }
    reader.answers["Client secret (it is not shown):"] = platform.client_secret
    reader.serves()


def _monitoring(reader: Situation) -> None:
    reader.stands_for["http://127.0.0.1:4318"] = reader.local(receiving()).url


def _slack(reader: Situation) -> None:
    workspace = reader.local(slack())
    reader.run.env["SLACK_API_URL"] = workspace.api_url
    reader.stands_for |= {"xoxb-...": workspace.bot_token, "xapp-...": workspace.app_token}


def _migration(reader: Situation) -> None:
    profiles = [{"mpid": number, "email": f"p{number}@example.com"} for number in range(4)]
    reader.run.iterable.control("POST", "/lists/1001/hosted", {"profiles": profiles, "byMpid": True})
    reader.table("audience.csv", "mpid,email\n1,p1@example.com\n2,p2@example.com\n")


def _run_log(reader: Situation) -> None:
    reader.bucket("example-warehouse")
    reader.folder("/mnt/warehouse/iterable-sync")


def _schedules(reader: Situation) -> None:
    reader.mappings(3)
    reader.bucket("acme-exports")


def _api(reader: Situation) -> None:
    reader.mappings(1)
    reader.run.env |= {
        "SERVER": f"http://127.0.0.1:{reader.port}",
        "TOKEN": reader.token("read", "run"),
        "MAPPING": "1",
    }
    reader.serves()


def _management(reader: Situation) -> None:
    reader.mappings(1)
    reader.table("employees.csv", "email\np2@example.com\n")


def _fields(reader: Situation) -> None:
    reader.table("members.csv", "email,Plan,city\np1@example.com,gold,Berlin\n")


#: What each page with commands takes for granted.
SITUATIONS: Mapping[str, Callable[[Situation], None]] = {
    "README.md": _readme,
    "docs/howto/alerts.md": _alerts,
    "docs/howto/check-a-list.md": _check,
    "docs/howto/configuration-as-code.md": _configuration,
    "docs/howto/connect-mparticle.md": _mparticle,
    "docs/howto/freeze.md": lambda reader: reader.mappings(3),
    "docs/howto/install-in-slack.md": _slack,
    "docs/howto/maintain.md": lambda reader: reader.mappings(1),
    "docs/howto/manage-mappings.md": _management,
    "docs/howto/migrate-from-mparticle.md": _migration,
    "docs/howto/monitor.md": _monitoring,
    "docs/howto/reports.md": lambda reader: reader.mappings(1),
    "docs/howto/run-log.md": _run_log,
    "docs/howto/schedule-syncs.md": _schedules,
    "docs/howto/use-the-api.md": _api,
    "docs/reference/data-fields.md": _fields,
    "docs/tutorials/first-sync-on-the-command-line.md": _tutorial,
}


@contextmanager
def _in_thread(service: AbstractAsyncContextManager[T]) -> Iterator[T]:
    """Run a service in the event loop of a thread for the length of the block."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def wait(coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result(30)

    try:
        yield wait(service.__aenter__())
        wait(service.__aexit__(None, None, None))
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
