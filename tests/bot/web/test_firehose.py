"""The Firehose endpoint, over HTTP: who may talk to it, what it takes, and what it says when it can't."""

import asyncio
import logging
from pathlib import Path
from typing import Any

import aiohttp
import jsonschema
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from sqlalchemy import text

from sandbox.mparticle import RefusedError, messages
from tests.core.databases import new_postgresql
from tests.core.firehose import shapes
from tests.firehosing import TOKEN, VIPS, Live, firehosing, person

PATH = f"/mparticle/firehose/{TOKEN}"


async def post(it: Live, body: bytes, path: str = PATH, method: str = "POST") -> tuple[int, Any, dict[str, str]]:
    """Send a request; returns the status, the JSON and the headers of the answer."""
    async with aiohttp.ClientSession() as session, session.request(method, it.base_url + path, data=body) as answer:
        found = await answer.read()
        is_json = answer.content_type == "application/json"
        return answer.status, orjson.loads(found) if is_json else found, dict(answer.headers)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_every_shape_is_answered(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Every message that mParticle may send is answered with 200, in the form that its schemas demand."""
    url = new_postgresql(request.getfixturevalue("postgresql_server")) if kind == "postgresql" else None
    with asyncio.Runner() as runner:
        stack = firehosing(tmp_path, url, worker=False)
        it = runner.run(stack.__aenter__())

        @settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow], deadline=None)
        @given(shapes.ANY)
        def check(message: dict[str, Any]) -> None:
            status, answer, _ = runner.run(post(it, orjson.dumps(message)))
            assert status == 200
            jsonschema.validate(answer, shapes.ANSWERS[message["type"]])
            assert answer["id"] == message["id"]

        try:
            check()
        finally:
            runner.run(stack.__aexit__(None, None, None))


@pytest.mark.parametrize(
    ("path", "method"),
    [
        ("/mparticle/firehose/another-token", "POST"),
        ("/mparticle/firehose/", "POST"),
        ("/mparticle/firehose", "POST"),
        (f"{PATH}/more", "POST"),
        (PATH, "GET"),
        ("/mparticle/firehose/%F0%9F%92%A9", "POST"),
    ],
)
async def test_other_addresses(tmp_path: Path, path: str, method: str) -> None:
    """Whoever does not know the token finds nothing there."""
    async with firehosing(tmp_path, worker=False) as it:
        status, _, _ = await post(it, b"{}", path, method)
        assert status == 404


async def test_without_a_token(tmp_path: Path) -> None:
    """Without the setting there is no endpoint, whatever the address."""
    async with firehosing(tmp_path, worker=False, firehose_token=None) as it:
        for token in (TOKEN, "None", ""):
            assert (await post(it, b"{}", f"/mparticle/firehose/{token}"))[0] == 404


async def test_malformed(tmp_path: Path) -> None:
    """A malformed message is a 400 that says which field."""
    async with firehosing(tmp_path, worker=False) as it:
        message = messages.membership(it.mparticle.account, VIPS, [("add", person(1))])
        del message["account"]["account_id"]
        status, answer, _ = await post(it, orjson.dumps(message))
        assert (status, answer["field"]) == (400, "account.account_id")


@pytest.mark.parametrize("chunked", [False, True])
async def test_too_large(tmp_path: Path, chunked: bool) -> None:
    """A message beyond the limit is a 413, with or without a Content-Length."""

    async def chunks() -> Any:
        for _ in range(200):
            yield b" " * 1_000

    async with firehosing(tmp_path, worker=False, firehose_max_mb=0.1) as it:
        async with aiohttp.ClientSession() as session:
            data = chunks() if chunked else b" " * 200_000
            async with session.post(it.base_url + PATH, data=data) as answer:
                assert answer.status == 413
        assert "type" in await it.mparticle.ping()


async def test_too_many_at_once(tmp_path: Path) -> None:
    """Beyond the limit of messages at once, a sender is asked to come again."""
    async with firehosing(tmp_path, worker=False, firehose_max_concurrent=1) as it:
        async with it.engine.database.write():  # the first one waits for this
            first = asyncio.create_task(it.mparticle.add(VIPS, person(1)))
            async with asyncio.timeout(10):
                while (answer := await post(it, b"{}"))[0] != 503:
                    pass
        assert int(answer[2]["Retry-After"]) > 0
        await first
        assert (await it.status()).waiting == 1


async def test_database_that_can_not_take_it(tmp_path: Path) -> None:
    """If the database can't store a message, the answer is 503, nothing of it is stored, and the next one is
    accepted."""
    async with firehosing(tmp_path, worker=False) as it:
        await it.mparticle.connect(VIPS)
        async with it.engine.database.write() as db:
            await db.execute(text("ALTER TABLE inbox RENAME TO elsewhere"))
        message = orjson.dumps(messages.membership(it.mparticle.account, VIPS, [("add", person(1))]))
        status, _, headers = await post(it, message)
        assert (status, int(headers["Retry-After"]) > 0) == (503, True)
        async with it.engine.database.write() as db:
            await db.execute(text("ALTER TABLE elsewhere RENAME TO inbox"))
        status, _, _ = await post(it, message)
        assert (status, (await it.status()).waiting, (await it.status()).changes_today) == (200, 1, 1)


async def test_one_bad_message_does_not_fail_others(tmp_path: Path) -> None:
    """Messages that are written together with one that can't be written are taken all the same."""
    async with firehosing(tmp_path, worker=False) as it:
        await it.mparticle.connect(VIPS)
        mapping = await it.mapping()
        async with it.engine.database.write() as db:
            await db.execute(
                text(
                    "CREATE TRIGGER refuse BEFORE INSERT ON inbox WHEN NEW.profile = '13' "
                    "BEGIN SELECT RAISE(ABORT, 'no'); END"
                )
            )
        found = await asyncio.gather(*(it.mparticle.add(VIPS, person(n)) for n in range(20)), return_exceptions=True)
        assert [isinstance(each, RefusedError) for each in found] == [n == 13 for n in range(20)]
        async with it.engine.database.read() as db:
            count = (await db.execute(text(f"SELECT count(*) FROM inbox WHERE mapping_id = {mapping.id}"))).scalar_one()
        assert count == 19


async def test_large_message(tmp_path: Path, database_url: str) -> None:
    """A message with more profiles than are written at once is taken whole."""
    async with firehosing(tmp_path, database_url, worker=False, firehose_max_mb=8) as it:
        await it.mparticle.add(VIPS, *map(person, range(12_000)))
        status = await it.status()
        assert (status.waiting, status.changes_today) == (12_000, 12_000)


async def test_ping_and_events(tmp_path: Path) -> None:
    """mParticle's check that we are alive, and events, are answered and leave nothing behind."""
    async with firehosing(tmp_path, worker=False) as it:
        assert (await it.mparticle.ping())["type"] == "audience_membership_change_response"
        assert (await it.mparticle.send(messages.events(it.mparticle.account)))["type"] == "event_processing_response"
        assert await it.mappings() == []


async def test_log_has_no_address_and_no_key(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Neither addresses nor keys nor the token are in the log, also where something goes wrong."""
    caplog.set_level(logging.DEBUG)
    async with firehosing(tmp_path, account={"apiKey": "a-secret-key"}, firehose_approval="none") as it:
        await it.mparticle.add(VIPS, person(1))
        async with it.engine.database.write() as db:
            await db.execute(text("ALTER TABLE inbox RENAME TO elsewhere"))
        with pytest.raises(RefusedError):
            await it.mparticle.add(VIPS, person(2))
        with pytest.raises(RefusedError):
            await it.mparticle.send({"type": "p3@example.com"})
        async with it.engine.database.write() as db:
            await db.execute(text("ALTER TABLE elsewhere RENAME TO inbox"))
    ours = "\n".join(f"{r.getMessage()} {r.exc_text}" for r in caplog.records if r.name.startswith(("core", "bot")))
    assert "could not store" in ours
    for secret in ("@example.com", "a-secret-key", TOKEN):
        assert secret not in ours
