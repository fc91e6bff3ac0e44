"""Sources of runs that people in Slack start: where they may be, and what is kept of their addresses."""

import logging
from collections.abc import AsyncIterator
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
from tests.bot.features.test_runs import all_runs, ended, with_button
from tests.bot.slack.harness import LIST, MARKETING, MAYA, TEAM, Workspace, audience, workspace
from tests.core.harness import people, until

SECRET = "X-Amz-Signature=5ec3e7"


@pytest.fixture
def drop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder from which people in Slack may read, beside one with a file that they may not read."""
    for name in ("drop", "private"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.csv").write_bytes(audience(people(range(2))))
    monkeypatch.setenv("ITERABLE_SYNC_AUDIENCE_PATHS", f"{tmp_path / 'drop'},http://127.0.0.1:1/")
    return tmp_path / "drop"


async def started(here: Workspace, path: str) -> str:
    """A run that Maya started of this path; what the form would have checked is not checked."""
    mapping = await here.mapping(await here.connection())
    return await commands.start(here.engine, mapping, RunRequest(path=path), by=MAYA, channel=MARKETING, team_id=TEAM)


async def test_file_of_the_command_line(drop: Path, tmp_path: Path) -> None:
    """The operator may sync any file; *Run again* in Slack reads it only if it is in an allowed place."""
    async with workspace(tmp_path) as here:
        made = await here.connection()
        await here.mapping(made)
        async with here.engine.database.read() as db:
            connection = await connections.by_id(db, made.id)
        assert connection is not None
        request = RunRequest(path=str(drop.parent / "private" / "a.csv"), audience="SpringShoppers")
        first = (await submit(here.engine, connection, LIST, request)).run_id
        await worker.start(first)
        assert (await here.run(first)).status is RunStatus.SUCCEEDED

        await here.slack.marketer.click(await with_button(here, RunAction.AGAIN, first), RunAction.AGAIN)
        await here.slack.wait_for_message("marketing", "may not be read from there")
        refused = (await all_runs(here))[0]
        assert refused.id != first
        assert "/" not in (refused.error or "")


async def test_link_that_took_the_place_of_a_file(drop: Path, tmp_path: Path) -> None:
    """A run that waits reads what was allowed, or nothing."""
    (drop / "b.csv").symlink_to(drop.parent / "private" / "a.csv")
    async with workspace(tmp_path) as here:
        refused = await ended(here, await started(here, str(drop / "b.csv")))
        assert refused.status is RunStatus.FAILED
        assert "may not be read from there" in (refused.error or "")
        assert str(tmp_path) not in here.slack.render(await here.slack.wait_for_message("marketing", "failed"))


async def test_allowed_file(drop: Path, tmp_path: Path) -> None:
    """What is in the place is synced, under the name that it has."""
    async with workspace(tmp_path) as here:
        run = await ended(here, await started(here, str(drop / "a.csv")))
        assert run.status is RunStatus.SUCCEEDED
        assert run.plan is not None
        assert run.plan.file_name == "a.csv"


@asynccontextmanager
async def bucket(seen: list[str]) -> AsyncIterator[str]:
    """A server that gives a file for a signed link, and notes the queries."""

    async def answer(request: web.Request) -> web.Response:
        seen.append(request.query_string)
        is_signed = request.query_string == SECRET and len(seen) < 3
        return web.Response(body=audience(people(range(2))), status=200 if is_signed else 403)

    app = web.Application()
    app.router.add_get("/a.csv", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


async def test_presigned_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A signed link is in no file and no log in the clear; *Run again* uses it, and says so when it has expired."""
    seen: list[str] = []
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(commands, "SECOND_CLICK_S", 0.0)
    async with bucket(seen) as url:
        monkeypatch.setenv("ITERABLE_SYNC_AUDIENCE_PATHS", url)
        async with workspace(tmp_path) as here:
            run = await ended(here, await started(here, f"{url}a.csv?{SECRET}"))
            assert (run.status, run.request.path) == (RunStatus.SUCCEEDED, f"{url}a.csv")

            maya: Person = here.slack.marketer
            await maya.click(await with_button(here, RunAction.AGAIN, run.id), RunAction.AGAIN)
            again = await ended(here, (await newer(here, run.id)))
            assert again.status is RunStatus.SUCCEEDED

            await maya.click(await with_button(here, RunAction.AGAIN, again.id), RunAction.AGAIN)
            expired = await ended(here, (await newer(here, again.id)))
            assert expired.status is RunStatus.FAILED
            assert "start a sync with a new one" in (expired.error or "")
            folder = here.engine.settings.data_dir
            files = [path for path in folder.rglob("*") if path.is_file()]
            assert [path.name for path in files if b"5ec3e7" in path.read_bytes()] == []
    assert seen == [SECRET] * 3
    ours = [record for record in caplog.records if record.name.startswith(("core", "bot"))]
    assert not any("5ec3e7" in record.getMessage() for record in ours)


async def newer(here: Workspace, run_id: str) -> str:
    """The run that was started after this one, once there is one."""

    async def is_there() -> bool:
        return (await all_runs(here))[0].id != run_id

    await until(is_there)
    return (await all_runs(here))[0].id
