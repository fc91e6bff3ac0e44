"""The Firehose endpoint over HTTP: access, accepted messages, and refusals."""

import asyncio
import logging
from pathlib import Path
from typing import Any

import aiohttp
import jsonschema_rs
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from sqlalchemy import text

from sandbox.mparticle import RefusedError, messages
from tests.core.databases import new_postgresql, sampled
from tests.core.firehose import shapes
from tests.examples import examples
from tests.firehosing import TOKEN, VIPS, Live, firehosing, person

PATH = f"/mparticle/firehose/{TOKEN}"


async def post(live: Live, body: bytes, path: str = PATH, method: str = "POST") -> tuple[int, Any, dict[str, str]]:
    """Send a request. Returns the status, the body (parsed if it is JSON) and the headers of the answer."""
    async with aiohttp.ClientSession() as session, session.request(method, live.base_url + path, data=body) as answer:
        content = await answer.read()
        is_json = answer.content_type == "application/json"
        return answer.status, orjson.loads(content) if is_json else content, dict(answer.headers)


@pytest.mark.parametrize("kind", sampled(["sqlite", "postgresql"]))
def test_every_shape_is_answered(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Every message of mParticle's schemas is answered with 200 and a valid response."""
    url = new_postgresql(request.getfixturevalue("postgresql_server")) if kind == "postgresql" else None
    with asyncio.Runner() as runner:
        stack = firehosing(tmp_path, url, worker=False)
        live = runner.run(stack.__aenter__())

        @settings(max_examples=examples(100), suppress_health_check=[HealthCheck.too_slow], deadline=None)
        @given(shapes.ANY)
        def check(message: dict[str, Any]) -> None:
            status, answer, _ = runner.run(post(live, orjson.dumps(message)))
            assert status == 200
            jsonschema_rs.validate(shapes.ANSWERS[message["type"]], answer)
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
async def test_wrong_address(tmp_path: Path, path: str, method: str) -> None:
    """A wrong token, path or method is answered with 404."""
    async with firehosing(tmp_path, worker=False) as live:
        status, _, _ = await post(live, b"{}", path, method)
        assert status == 404


async def test_without_a_token(tmp_path: Path) -> None:
    """Without the setting there is no endpoint at any address."""
    async with firehosing(tmp_path, worker=False, firehose_token=None) as live:
        for token in (TOKEN, "None", ""):
            assert (await post(live, b"{}", f"/mparticle/firehose/{token}"))[0] == 404


async def test_malformed(tmp_path: Path) -> None:
    """A malformed message is answered with 400 and the name of the field."""
    async with firehosing(tmp_path, worker=False) as live:
        message = messages.membership(live.mparticle.account, VIPS, [("add", person(1))])
        del message["account"]["account_id"]
        status, answer, _ = await post(live, orjson.dumps(message))
        assert (status, answer["field"]) == (400, "account.account_id")


@pytest.mark.parametrize("chunked", [False, True])
async def test_too_large(tmp_path: Path, chunked: bool) -> None:
    """A message above the limit is answered with 413, with or without a declared length."""

    async def chunks() -> Any:
        for _ in range(200):
            yield b" " * 1_000

    async with firehosing(tmp_path, worker=False, firehose_max_mb=0.1) as live:
        async with aiohttp.ClientSession() as session:
            data = chunks() if chunked else b" " * 200_000
            async with session.post(live.base_url + PATH, data=data) as answer:
                assert answer.status == 413
        assert "type" in await live.mparticle.ping()


async def test_too_many_at_once(tmp_path: Path) -> None:
    """Above the limit of concurrent messages, a sender gets 503 and a Retry-After."""
    async with firehosing(tmp_path, worker=False, firehose_max_concurrent=1) as live:
        async with live.engine.database.write():  # the first message waits for this transaction
            first = asyncio.create_task(live.mparticle.add(VIPS, person(1)))
            async with asyncio.timeout(60):
                while (answer := await post(live, b"{}"))[0] != 503:
                    pass
        assert int(answer[2]["Retry-After"]) > 0
        await first
        assert (await live.status()).waiting == 1


async def test_database_refuses_a_message(tmp_path: Path) -> None:
    """If the database refuses a message, the answer is 503, none of it is stored, and the next one is accepted."""
    async with firehosing(tmp_path, worker=False) as live:
        await live.mparticle.connect(VIPS)
        async with live.engine.database.write() as db:
            await db.execute(text("ALTER TABLE inbox RENAME TO elsewhere"))
        message = orjson.dumps(messages.membership(live.mparticle.account, VIPS, [("add", person(1))]))
        status, _, headers = await post(live, message)
        assert (status, int(headers["Retry-After"]) > 0) == (503, True)
        async with live.engine.database.write() as db:
            await db.execute(text("ALTER TABLE elsewhere RENAME TO inbox"))
        status, _, _ = await post(live, message)
        assert (status, (await live.status()).waiting, (await live.status()).changes_today) == (200, 1, 1)


async def test_one_bad_message_does_not_fail_others(tmp_path: Path) -> None:
    """A message that can't be written does not fail the messages that are written together with it."""
    async with firehosing(tmp_path, worker=False) as live:
        await live.mparticle.connect(VIPS)
        mapping = await live.mapping()
        async with live.engine.database.write() as db:
            await db.execute(
                text(
                    "CREATE TRIGGER refuse BEFORE INSERT ON inbox WHEN NEW.profile = '13' "
                    "BEGIN SELECT RAISE(ABORT, 'no'); END"
                )
            )
        answers = await asyncio.gather(
            *(live.mparticle.add(VIPS, person(n)) for n in range(20)), return_exceptions=True
        )
        assert [isinstance(each, RefusedError) for each in answers] == [n == 13 for n in range(20)]
        async with live.engine.database.read() as db:
            count = (await db.execute(text(f"SELECT count(*) FROM inbox WHERE mapping_id = {mapping.id}"))).scalar_one()
        assert count == 19


async def test_large_message(tmp_path: Path, database_url: str) -> None:
    """A message with more profiles than one write takes is stored completely."""
    async with firehosing(tmp_path, database_url, worker=False, firehose_max_mb=8) as live:
        await live.mparticle.add(VIPS, *map(person, range(12_000)))
        status = await live.status()
        assert (status.waiting, status.changes_today) == (12_000, 12_000)


async def test_ping_and_events(tmp_path: Path) -> None:
    """mParticle's health check and events are answered, and nothing is stored."""
    async with firehosing(tmp_path, worker=False) as live:
        assert (await live.mparticle.ping())["type"] == "audience_membership_change_response"
        assert (await live.mparticle.send(messages.events(live.mparticle.account)))[
            "type"
        ] == "event_processing_response"
        assert await live.mappings() == []


async def test_log_has_no_address_and_no_key(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The log contains neither addresses nor keys nor the token, even after errors."""
    caplog.set_level(logging.DEBUG)
    async with firehosing(tmp_path, account={"apiKey": "a-secret-key"}, firehose_approval="none") as live:
        await live.mparticle.add(VIPS, person(1))
        async with live.engine.database.write() as db:
            await db.execute(text("ALTER TABLE inbox RENAME TO elsewhere"))
        with pytest.raises(RefusedError):
            await live.mparticle.add(VIPS, person(2))
        with pytest.raises(RefusedError):
            await live.mparticle.send({"type": "p3@example.com"})
        async with live.engine.database.write() as db:
            await db.execute(text("ALTER TABLE elsewhere RENAME TO inbox"))
    log = "\n".join(
        f"{record.getMessage()} {record.exc_text}"
        for record in caplog.records
        if record.name.startswith(("core", "bot"))
    )
    assert "could not store" in log
    for secret in ("@example.com", "a-secret-key", TOKEN):
        assert secret not in log
