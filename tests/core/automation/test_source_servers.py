"""Sources in buckets, on an SFTP server and on a web server: listed, synced once, and never while a file is partial."""

import io
import os
import time
import zipfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from urllib.parse import quote
from urllib.request import Request, urlopen

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from core.errors import InputError, ValidationError
from core.sources.file_catalog import list_audiences
from core.store.file_sources import Existing
from tests.core.automation.harness import MINUTE_S, automated
from tests.core.harness import addresses, people
from tests.core.sources import servers

Put = Callable[[str, bytes], object]


@contextmanager
def s3(_directory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Put]]:
    """Amazon's storage."""
    with contextmanager(servers.s3)(monkeypatch):
        client = pytest.importorskip("boto3").client("s3")
        yield "s3://exports/in/", lambda name, content: client.put_object(Bucket="exports", Key=name, Body=content)
        client.close()


@contextmanager
def gs(_directory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Put]]:
    """Google's storage."""

    def put(name: str, content: bytes) -> None:
        root = os.environ["STORAGE_EMULATOR_HOST"]
        address = f"{root}/upload/storage/v1/b/exports/o?uploadType=media&name={quote(name, safe='')}"
        urlopen(Request(address, data=content, headers={"Content-Type": "text/csv"}, method="POST")).close()

    with contextmanager(servers.gcs)(monkeypatch):
        yield "gs://exports/in/", put


@contextmanager
def az(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Put]]:
    """Azure's storage."""
    with contextmanager(servers.azure)(directory, monkeypatch):
        blob = pytest.importorskip("azure.storage.blob")
        with blob.BlobServiceClient.from_connection_string(os.environ["AZURE_STORAGE_CONNECTION_STRING"]) as client:
            container = client.get_container_client("exports")
            yield "az://exports/in/", lambda name, content: container.upload_blob(name, content, overwrite=True)


@contextmanager
def sftp(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Put]]:
    """An SFTP server."""
    from tests.core.sources import sftp_server  # imports paramiko, which takes a second

    served, home = directory / "served", directory / "home"
    (served / "in").mkdir(parents=True)
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    key = sftp_server.new_key()
    with sftp_server.sftp_server(served, key) as root:
        sftp_server.trust(root, home, key)
        yield f"{root}/in/", lambda name, content: (served / name).write_bytes(content)


def table(numbers: range) -> bytes:
    """Return an audience as a plain table."""
    rows = "".join(f"{m.mpid},{m.email},{m.customer_id}\n" for m in people(numbers))
    return f"mpid,email,customer_id\n{rows}".encode()


def cut_off_zip() -> bytes:
    """Return a ZIP whose upload has not ended."""
    with io.BytesIO() as buffer:
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("Shoppers.csv", table(range(9)))
        return buffer.getvalue()[:-30]


@pytest.mark.extended
@pytest.mark.parametrize("server", [s3, gs, az, sftp])
async def test_source_on_a_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Callable[..., AbstractContextManager[tuple[str, Put]]]
) -> None:
    """Files are synced once, the oldest first; a partial one waits until it is whole, and a copy is a duplicate."""
    with ExitStack() as stack:
        address, put = stack.enter_context(server(tmp_path, monkeypatch))
        put("in/shoppers_2026-01-02.csv", table(range(3)))
        put("in/shoppers_2026-01-01.csv", table(range(2)))
        put("in/shoppers_2026-01-03.zip", cut_off_zip())
        put("in/shoppers_2026-01-04.csv.part", table(range(1)))
        put("in/_log", b"x")
        async with automated(tmp_path, None, monkeypatch, at=time.time()) as world:
            await world.source(address, existing=Existing.ALL)
            await world.schedule()
            await world.steps(5 * MINUTE_S)
            assert await world.synced() == ["shoppers_2026-01-01.csv", "shoppers_2026-01-02.csv"]
            assert (await world.files())["shoppers_2026-01-03.zip"] == "arriving"
            assert world.sync.emails() == addresses(range(3))
            put("in/shoppers_2026-01-05.csv", table(range(4)))
            put("in/shoppers_2026-01-06.csv", table(range(4)))
            await world.steps(5 * MINUTE_S)
            assert (await world.synced())[2:] == ["shoppers_2026-01-05.csv"]
            assert (await world.files())["shoppers_2026-01-06.csv"] == "duplicate"
            assert world.sync.emails() == addresses(range(4))


@asynccontextmanager
async def web_server(files: dict[str, bytes]) -> AsyncIterator[str]:
    """Serve files with an ETag, and an index page at /; yield the address of the server."""

    async def answer(request: web.Request) -> web.Response:
        name = request.path.removeprefix("/")
        if not name:
            return web.Response(text="<a href=audience.csv>audience.csv</a>", content_type="text/html")
        if name not in files:
            raise web.HTTPNotFound
        headers = {"ETag": f'"{hash(files[name])}"'}
        return web.Response(body=files[name], content_type="text/csv", headers=headers)

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    async with TestServer(app) as server:
        yield str(server.make_url("/"))


async def test_source_on_a_web_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One address is synced each time its ETag changes; a page, a folder or a pattern is refused with a sentence."""
    files = {"audience.csv": table(range(2))}
    async with web_server(files) as root, automated(tmp_path, None, monkeypatch, at=time.time()) as world:
        for wrong in (root, f"{root}exports/", f"{root}a*.csv"):
            with pytest.raises(ValidationError, match="can't be listed"):
                await world.source(wrong)
        with pytest.raises(InputError, match="a web page"):
            await list_audiences(root)
        await world.source(f"{root}audience.csv")
        await world.schedule()
        await world.steps(5 * MINUTE_S)
        assert world.sync.emails() == addresses(range(2))
        files["audience.csv"] = table(range(3))
        await world.steps(5 * MINUTE_S)
        assert (len(await world.runs()), world.sync.emails()) == (2, addresses(range(3)))
