"""The proxy and the certificates of the environment apply to every client: Iterable, audiences, and all calls to
Slack."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trustme
from aiohttp import web
from slack_bolt.async_app import AsyncApp
from yarl import URL

from bot.cli.doctor.network_check import network_finding
from bot.slack import file_source, preflight
from bot.slack.clients import Clients
from bot.slack.connection import connected
from bot.slack.retry import RetryLaterError
from core import network
from core.errors import InputError, SettingsError, SyncError
from core.iterable import IterableClient, NoRateLimit
from core.iterable.errors import UnreachableError
from core.iterable.probe import ProbeResult, probe
from core.iterable.retry import INTERACTIVE_RETRY
from core.sources.fetch import fetch_file

# A name that only the proxy resolves, like a host outside of a company's network.
HOST = "outside.test"
NAMES = ("HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", *network.CA_VARIABLES, "SSL_CERT_DIR")


@dataclass
class Outside:
    """A TLS server that plays Iterable, Slack and a web server, its certificate authority, and its proxy."""

    url: str
    ca: Path
    proxy: str
    #: The hosts to which clients connected through the proxy.
    asked: list[str] = field(default_factory=list)


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the proxy and the certificates from the environment."""
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
async def outside(tmp_path: Path) -> AsyncIterator[Outside]:
    """Run the server and the proxy on free ports."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(HOST).configure_cert(context)
    asked: list[str] = []
    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(_serving(context))
        proxy = await stack.enter_async_context(_proxying(asked))
        yield Outside(f"https://{HOST}:{port}", tmp_path / "ca.pem", proxy, asked)


@asynccontextmanager
async def _serving(context: ssl.SSLContext) -> AsyncIterator[int]:
    async def answer(request: web.Request) -> web.StreamResponse:
        if request.path == "/link":
            socket = web.WebSocketResponse()
            await socket.prepare(request)
            await socket.receive()
            return socket
        if request.path == "/a.csv":
            return web.Response(text="email\np1@example.com\n")
        url = f"wss://{request.host}/link"
        return web.json_response(
            {"ok": True, "lists": [], "team": "T", "team_id": "T1", "user": "u", "bot_id": "B1", "url": url}
        )

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    try:
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


@asynccontextmanager
async def _proxying(asked: list[str]) -> AsyncIterator[str]:
    """Run a proxy that sends each CONNECT to the same port of this machine."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        method, target, _ = (await reader.readline()).decode().split()
        while (await reader.readline()).strip():
            pass
        assert method == "CONNECT"
        asked.append(target.rpartition(":")[0])
        upstream, upstream_writer = await asyncio.open_connection("127.0.0.1", int(target.rpartition(":")[2]))
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await asyncio.gather(_copy(reader, upstream_writer), _copy(upstream, writer))

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while chunk := await source.read(1 << 16):
            target.write(chunk)
            await target.drain()
    target.close()


async def _ask_iterable(url: str, _directory: Path) -> None:
    async with IterableClient("key", base_url=url, limiter=NoRateLimit(), retry_policy=INTERACTIVE_RETRY) as client:
        assert await client.lists() == []


async def _probe(url: str, _directory: Path) -> None:
    result = await probe(url)
    if not isinstance(result, ProbeResult):
        raise InputError(result)


async def _fetch(url: str, directory: Path) -> None:
    async with fetch_file(f"{url}/a.csv", directory / "fetched", {}) as path:
        assert "p1@" in path.read_text()


async def _ask_slack(url: str, _directory: Path) -> None:
    await preflight.fetch_bot_identity(Clients(f"{url}/api/", "xoxb-1", None).with_token("xoxb-1"))


async def _download(url: str, directory: Path) -> None:
    await file_source._download(URL(f"{url}/a.csv"), "xoxb-1", directory / "a.csv")


async def _connect(url: str, _directory: Path) -> None:
    client = Clients(f"{url}/api/", "xoxb-1", None).with_token("xoxb-1")
    await preflight.check_app_token(client, "xapp-1")
    async with asyncio.timeout(60), connected(AsyncApp(client=client, signing_secret="s"), "xapp-1") as socket:
        assert await socket.is_connected()


CLIENTS = [_ask_iterable, _probe, _fetch, _ask_slack, _download, _connect]
Client = Callable[[str, Path], Awaitable[None]]


@pytest.mark.parametrize("variable", network.CA_VARIABLES)
@pytest.mark.parametrize("client", CLIENTS)
async def test_client_goes_through_the_proxy(
    outside: Outside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, client: Client, variable: str
) -> None:
    """Each client reaches the host through the proxy, and trusts the authority that the environment names."""
    monkeypatch.setenv("HTTPS_PROXY", outside.proxy)
    monkeypatch.setenv(variable, str(outside.ca))
    await client(outside.url, tmp_path)
    assert set(outside.asked) == {HOST}


@pytest.mark.parametrize("client", CLIENTS)
async def test_certificate_that_is_not_trusted(
    outside: Outside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, client: Client
) -> None:
    """An untrusted certificate is a permanent error whose sentence names the host and the remedy."""
    monkeypatch.setenv("HTTPS_PROXY", outside.proxy)
    with pytest.raises(SyncError, match=rf"certificate of .*{HOST}.* is not trusted .*SSL_CERT_FILE"):
        await client(outside.url, tmp_path)
    assert len(outside.asked) == 1


@pytest.mark.parametrize("client", CLIENTS)
async def test_host_without_a_proxy(
    outside: Outside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, client: Client
) -> None:
    """No client uses the proxy for a host in NO_PROXY."""
    monkeypatch.setenv("HTTPS_PROXY", outside.proxy)
    monkeypatch.setenv("NO_PROXY", f"localhost,{HOST}")
    with suppress(SyncError, RetryLaterError):  # without the proxy the name does not resolve
        await client(outside.url, tmp_path)
    assert outside.asked == []


async def test_unreachable_proxy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """If the proxy can't be reached, the error says so."""
    monkeypatch.setenv("HTTPS_PROXY", "127.0.0.1:1")
    with pytest.raises(UnreachableError, match="the proxy that HTTPS_PROXY or HTTP_PROXY names can't be reached"):
        await _ask_iterable(f"https://{HOST}", tmp_path)


@pytest.mark.parametrize("proxy", ["socks5://user:secret@h:1", "http://", "http://[secret"])
def test_unsupported_proxy(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    """An unsupported proxy is refused with the name of its variable, without its password."""
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    with pytest.raises(SettingsError, match="HTTPS_PROXY") as refused:
        network.proxy_for("https://h.example.com")
    assert "secret" not in refused.value.message


def test_missing_certificates(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A missing or invalid file of certificates is refused with the name of its variable."""
    (tmp_path / "none.pem").write_text("no certificate")
    for name in ("missing.pem", "none.pem"):
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / name))
        with pytest.raises(SettingsError, match=f"SSL_CERT_FILE names .*{name}"):
            network.tls_context()


def test_doctor_names_proxy_and_certificates(monkeypatch: pytest.MonkeyPatch, outside: Outside) -> None:
    """The doctor names the proxy and the certificate authorities, without the proxy's password."""
    assert network_finding().text.startswith("without a proxy; certificate authorities: ")
    monkeypatch.setenv("HTTPS_PROXY", "http://user:secret@proxy.example.com:8080")
    monkeypatch.setenv("NO_PROXY", "localhost")
    monkeypatch.setenv("SSL_CERT_FILE", str(outside.ca))
    assert network_finding().text == (
        "through the proxy http://proxy.example.com:8080 for https://, but not to localhost; certificate authorities: "
        f"{outside.ca} (SSL_CERT_FILE)"
    )
