"""Sources of runs that people start in Slack: allowed places, and what is stored of their addresses."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from bot.features.ids import RunAction
from core.models.run import RunRequest, RunStatus
from core.runs import commands, worker
from core.runs.submission import submit
from core.store import connections
from sandbox.slack.users.user_driver import Person
from tests.bot.features.test_runs import all_runs, post_button, wait_for_end
from tests.bot.slack.harness import LIST, MARKETING, MAYA, TEAM, Workspace, audience, workspace
from tests.core.harness import people, until

# The bytes that arrive before the download waits.
HALF = 600_000
SECRET = "X-Amz-Signature=5ec3e7"


@pytest.fixture
def drop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder from which people in Slack may read, next to a folder from which they may not."""
    for name in ("drop", "private"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.csv").write_bytes(audience(people(range(2))))
    monkeypatch.setenv("ITERABLE_SYNC_AUDIENCE_PATHS", f"{tmp_path / 'drop'},http://127.0.0.1:1/")
    return tmp_path / "drop"


async def start_from(bot: Workspace, path: str) -> str:
    """Start a run of a path as Maya, without the form's checks, and return the run's id."""
    mapping = await bot.mapping(await bot.connection())
    return await commands.start(bot.engine, mapping, RunRequest(path=path), by=MAYA, channel=MARKETING, team_id=TEAM)


async def test_file_of_the_command_line(drop: Path, tmp_path: Path) -> None:
    """The command line may sync any file, but *Run again* in Slack reads it only from an allowed place."""
    async with workspace(tmp_path) as bot:
        saved = await bot.connection()
        await bot.mapping(saved)
        async with bot.engine.database.read() as db:
            connection = await connections.by_id(db, saved.id)
        assert connection is not None
        request = RunRequest(path=str(drop.parent / "private" / "a.csv"), audience="SpringShoppers")
        first = (await submit(bot.engine, connection, LIST, request)).run_id
        await worker.start(bot.engine, first)
        assert (await bot.run(first)).status is RunStatus.SUCCEEDED

        await bot.slack.marketer.click(await post_button(bot, RunAction.AGAIN, first), RunAction.AGAIN)
        await bot.slack.wait_for_message("marketing", "may not be read from there")
        refused = (await all_runs(bot))[0]
        assert refused.id != first
        assert "/" not in (refused.error or "")


async def test_link_to_a_file_elsewhere(drop: Path, tmp_path: Path) -> None:
    """A link in an allowed folder to a file elsewhere is refused."""
    (drop / "b.csv").symlink_to(drop.parent / "private" / "a.csv")
    async with workspace(tmp_path) as bot:
        refused = await wait_for_end(bot, await start_from(bot, str(drop / "b.csv")))
        assert refused.status is RunStatus.FAILED
        assert "may not be read from there" in (refused.error or "")
        assert str(tmp_path) not in bot.slack.render(await bot.slack.wait_for_message("marketing", "failed"))


@pytest.mark.extended
async def test_allowed_file(drop: Path, tmp_path: Path) -> None:
    """A file in an allowed folder is synced under its name."""
    async with workspace(tmp_path) as bot:
        run = await wait_for_end(bot, await start_from(bot, str(drop / "a.csv")))
        assert run.status is RunStatus.SUCCEEDED
        assert run.plan is not None
        assert run.plan.file_name == "a.csv"


@asynccontextmanager
async def served(answer: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    """Serve one file, and yield the address of its folder."""
    app = web.Application()
    app.router.add_get("/a.csv", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def signed_link_server(queries: list[str]) -> AsyncIterator[str]:
    """Serve a file for a signed link, twice, and record the query strings."""

    async def answer(request: web.Request) -> web.Response:
        queries.append(request.query_string)
        is_signed = request.query_string == SECRET and len(queries) < 3
        return web.Response(body=audience(people(range(2))), status=200 if is_signed else 403)

    async with served(answer) as url:
        yield url


async def test_presigned_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A signed link is in no file and no log in plain text; *Run again* uses it, and reports that it has expired."""
    queries: list[str] = []
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(commands, "SECOND_CLICK_S", 0.0)
    async with signed_link_server(queries) as url:
        monkeypatch.setenv("ITERABLE_SYNC_AUDIENCE_PATHS", url)
        async with workspace(tmp_path) as bot:
            run = await wait_for_end(bot, await start_from(bot, f"{url}a.csv?{SECRET}"))
            assert (run.status, run.request.path) == (RunStatus.SUCCEEDED, f"{url}a.csv")

            maya: Person = bot.slack.marketer
            await maya.click(await post_button(bot, RunAction.AGAIN, run.id), RunAction.AGAIN)
            again = await wait_for_end(bot, (await wait_for_next_run(bot, run.id)))
            assert again.status is RunStatus.SUCCEEDED

            await maya.click(await post_button(bot, RunAction.AGAIN, again.id), RunAction.AGAIN)
            expired = await wait_for_end(bot, (await wait_for_next_run(bot, again.id)))
            assert expired.status is RunStatus.FAILED
            assert "start a sync with a new one" in (expired.error or "")
            folder = bot.engine.settings.data_dir
            files = [path for path in folder.rglob("*") if path.is_file()]
            assert [path.name for path in files if b"5ec3e7" in path.read_bytes()] == []
    assert queries == [SECRET] * 3
    ours = [record for record in caplog.records if record.name.startswith(("core", "bot"))]
    assert not any("5ec3e7" in record.getMessage() for record in ours)


@pytest.mark.extended
async def test_download_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While an audience is downloaded, its message says how much of it has arrived."""
    header, *rows = audience(people(range(2))).decode().splitlines()
    body = "\n".join([header + ", note", *(f"{row}, {'x' * 600_000}" for row in rows)]).encode()
    is_seen = asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(len(body))})
        await response.prepare(request)
        await response.write(body[:HALF])
        await is_seen.wait()
        await response.write(body[HALF:])
        return response

    async with served(answer) as url:
        monkeypatch.setenv("ITERABLE_SYNC_AUDIENCE_PATHS", url)
        async with workspace(tmp_path) as bot:
            run_id = await start_from(bot, f"{url}a.csv")
            total = f"{len(body) / 1_000_000:.1f} MB"
            message = await bot.slack.wait_for_message("marketing", f"Downloading the audience, 0.6 MB of {total}")
            assert f"{100 * HALF // len(body)} %" in bot.slack.render(message)
            is_seen.set()
            assert (await wait_for_end(bot, run_id)).status is RunStatus.SUCCEEDED


async def wait_for_next_run(bot: Workspace, run_id: str) -> str:
    """Wait for a run that was started after this one, and return its id."""

    async def is_started() -> bool:
        return (await all_runs(bot))[0].id != run_id

    await until(is_started)
    return (await all_runs(bot))[0].id
