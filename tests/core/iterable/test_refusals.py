"""Permanent errors are raised at once, and show no secret."""

import asyncio
import logging

import pytest
from aiohttp import web

from core.iterable import (
    InvalidApiKeyError,
    IterableClient,
    IterableError,
    ListNotFoundError,
    ListNotStandardError,
    NoRateLimit,
    RequestRejectedError,
    RequestStats,
    RequestTooLargeError,
    UnexpectedResponseError,
    UnreachableError,
)
from sandbox.iterable import Fault, Running
from tests.core.iterable.conftest import DYNAMIC, LIST, QUICK, serving

ANN = ("ann@example.com", "1")


async def test_revoked_key_is_refused(client: IterableClient, iterable: Running) -> None:
    """A 401 means that the key is refused, and is not retried."""
    iterable.state.keys[iterable.key].status = "revoked"
    await assert_refused(client, InvalidApiKeyError, 401, "BadApiKey")


async def test_wrong_kind_of_key_is_refused(client: IterableClient, iterable: Running) -> None:
    """A 403 means that the key is refused, and is not retried."""
    iterable.state.keys[iterable.key].status = "forbidden"
    await assert_refused(client, InvalidApiKeyError, 403, "Forbidden")


@pytest.mark.parametrize("code", ["BadParams", "Success"])
async def test_deleted_list_is_missing(client: IterableClient, iterable: Running, code: str) -> None:
    """A deleted list is a missing list, whatever code Iterable gives it."""
    iterable.state.lists[LIST].deleted = True
    iterable.settings.deleted_list_code = code
    await assert_refused(client, ListNotFoundError, 400, None if code == "Success" else code)


async def test_deleted_list_can_answer_200(client: IterableClient, iterable: Running) -> None:
    """The client reads the message even if status and code mean success."""
    iterable.faults.add(Fault("error", status=200, code="Success", msg="error.lists.invalidListId"))
    await assert_refused(client, ListNotFoundError, 200, None)


async def test_dynamic_list_is_not_standard(client: IterableClient) -> None:
    """A dynamic list is refused as not standard."""
    await assert_refused(client, ListNotStandardError, 400, "BadParams", list_id=DYNAMIC)


async def test_bad_member_refuses_the_request(client: IterableClient) -> None:
    """Any other 400 is a refusal of this request."""
    await assert_refused(client, RequestRejectedError, 400, "BadParams", email="eve@poison.test")


async def test_413_is_too_large(client: IterableClient, iterable: Running) -> None:
    """A 413 means that the request must be split."""
    iterable.settings.max_body = 10
    await assert_refused(client, RequestTooLargeError, 413, "BatchTooLarge")


async def test_413_of_a_gateway_is_too_large(client: IterableClient, iterable: Running) -> None:
    """A 413 of a gateway means that the request must be split, too."""
    iterable.faults.add(Fault("html", status=413))
    await assert_refused(client, RequestTooLargeError, 413, None)


async def test_batch_too_large(client: IterableClient, iterable: Running) -> None:
    """A 400 with the code BatchTooLarge means that the request must be split."""
    iterable.faults.add(Fault("error", status=400, code="BatchTooLarge"))
    await assert_refused(client, RequestTooLargeError, 400, "BatchTooLarge")


async def test_other_address_is_not_iterable(client: IterableClient, iterable: Running) -> None:
    """A 404 means a wrong address, not wrong members."""
    iterable.faults.add(Fault("error", status=404, code="Nothing"))
    await assert_refused(client, UnexpectedResponseError, 404, "Nothing")


async def assert_refused(
    client: IterableClient,
    kind: type[IterableError],
    status: int,
    api_code: str | None,
    *,
    list_id: int = LIST,
    email: str = ANN[0],
) -> None:
    """Check that subscribing raises exactly this error, after one request."""
    with pytest.raises(IterableError) as caught:
        await client.subscribe(list_id, [(email, "1")])
    error = caught.value
    assert (type(error), error.status, error.api_code, error.list_id) == (kind, status, api_code, list_id)
    assert not error.is_transient
    assert client.traffic == RequestStats(requests=1)


async def test_redirect_is_not_followed() -> None:
    """A redirect is an error, so that its target never gets the key."""
    visited: list[str] = []

    async def elsewhere(request: web.Request) -> web.StreamResponse:
        visited.append(request.path)
        raise web.HTTPTemporaryRedirect("/elsewhere")

    async with (
        serving(elsewhere) as url,
        IterableClient("key", base_url=url, limiter=NoRateLimit(), retry_policy=QUICK) as client,
    ):
        with pytest.raises(UnexpectedResponseError):
            await client.lists()
    assert visited == ["/api/lists"]


async def test_endless_answer_is_cut_off() -> None:
    """The client cuts off an endless answer, and does not keep it in memory."""

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 1_000_000)

    async with (
        serving(endless) as url,
        IterableClient("key", base_url=url, limiter=NoRateLimit(), retry_policy=QUICK) as client,
    ):
        with pytest.raises(UnexpectedResponseError):
            await client.lists()


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 409, 413, 500, 503])
async def test_error_and_log_show_no_secret(
    client: IterableClient, iterable: Running, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    """Error and log contain neither key nor address; Iterable's own words are in neither message nor log."""
    caplog.set_level(logging.DEBUG)
    message = f"Invalid email {ANN[0]} for key {iterable.key}"
    iterable.faults.add(Fault("error", status=status, code="GenericError", msg=message))
    with pytest.raises(IterableError) as caught:
        await client.subscribe(LIST, [ANN])
    output = f"{caught.value!s} {caught.value!r} {vars(caught.value)} {client!r} {caplog.text}"
    assert not any(secret in output for secret in (iterable.key, ANN[0]))
    assert "Invalid email" not in f"{caught.value!s} {caught.value!r} {caplog.text}"


async def test_error_of_the_http_library_shows_no_key() -> None:
    """An error does not include the request's headers, which the HTTP library attaches."""

    async def broken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: none of it\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(broken, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, IterableClient("s3cret", base_url=url, limiter=NoRateLimit(), retry_policy=QUICK) as client:
        with pytest.raises(UnreachableError) as caught:
            await client.lists()
    assert "s3cret" not in f"{caught.value!r} {caught.value.__cause__!r}"
