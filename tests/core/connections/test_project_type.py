"""The type of an Iterable project is found by asking Iterable, kept with the connection, and corrected by a person."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from core.connections import manage
from core.connections.project_type import detect
from core.errors import ProjectTypeUnknownError, ValidationError
from core.identity import ProjectType, UserIdField
from core.iterable import DataCenter
from core.models.run import RunRequest
from core.runs import worker
from core.runs.submission import submit
from core.store import connections
from core.store.connections import Connection
from core.store.tables import audit_log
from sandbox.iterable import DEFAULT_KEY, HYBRID_KEY, USER_ID_KEY, Fault, Running
from tests.core.harness import Sync, people, syncing
from tests.core.iterable.conftest import connected, iterable

__all__ = ["iterable"]

TYPES = [(DEFAULT_KEY, ProjectType.EMAIL), (USER_ID_KEY, ProjectType.USER_ID), (HYBRID_KEY, ProjectType.HYBRID)]


@pytest.mark.parametrize(("key", "expected"), TYPES)
async def test_type_is_found(iterable: Running, key: str, expected: ProjectType) -> None:
    """Each type answers to other calls."""
    async with connected(iterable, key=key) as client:
        assert await detect(client, DataCenter.US) is expected


async def test_no_email_based_projects_in_the_eu(iterable: Running) -> None:
    """An answer that can't be tells nothing."""
    async with connected(iterable) as client:
        assert await detect(client, DataCenter.EU) is None


async def test_nothing_is_found(iterable: Running) -> None:
    """If neither call is answered, the type stays unknown."""
    iterable.faults.add(Fault("answer", answer="400 BadParams", path="/api/users/forgotten"))
    async with connected(iterable) as client:
        assert await detect(client, DataCenter.US) is None


@pytest.mark.parametrize("answer", ["403 ForbiddenParamsError", "404 NotFound", "405"])
async def test_call_that_the_key_may_not_make(tmp_path: Path, answer: str) -> None:
    """If Iterable refuses the two calls in another way, the type is unknown; the key still counts as accepted."""
    async with syncing(tmp_path) as sync:
        sync.iterable.faults.add(Fault("answer", answer=answer, path="/api/users/forgotten"))
        assert (await save(sync, DEFAULT_KEY)).project_type is None
        assert (await sync.mirror(people(range(2)))).counts == {"members": 2, "added": 2}
        async with sync.engine.database.read() as db:
            assert [each.key_rejected_at for each in await connections.everyone(db)] == [None, None]


async def test_unknown_type_in_the_eu(tmp_path: Path) -> None:
    """A person has to choose before anything is sent, because such a project can't count as email-based."""
    async with syncing(tmp_path) as sync:
        sync.iterable.faults.add(Fault("answer", answer="400 BadParams", path="/api/users/forgotten"))
        connection = await save(sync, USER_ID_KEY, DataCenter.EU)
        list_id = sync.iterable.state.add_list("Spring", project=sync.iterable.state.keys[USER_ID_KEY].project).id
        request = RunRequest(path=str(sync.mirror_file(people(range(2)))))
        with pytest.raises(ProjectTypeUnknownError, match="choose the project type of shop"):
            await submit(sync.engine, connection, list_id, request)
        assert sync.iterable.state.members(list_id) == []
        await manage.change(sync.engine, connection, project_type=ProjectType.USER_ID, by="U1", team_id=None)
        run_id = (await submit(sync.engine, connection, list_id, request)).run_id
        await worker.start(sync.engine, run_id)
        assert (await sync.outcome(run_id)).run.project_type is ProjectType.USER_ID
        assert len(sync.iterable.state.members(list_id)) == 2


async def save(sync: Sync, key: str, data_center: DataCenter = DataCenter.US) -> Connection:
    """Save a connection with a key."""
    made = await manage.connect(
        sync.engine,
        name="shop",
        api_key=key,
        data_center=data_center,
        user_id_field=UserIdField.CUSTOMER_ID,
        requests_per_second=0,
        by="U1",
    )
    return made.connection


@pytest.mark.parametrize(("key", "expected"), TYPES)
async def test_type_is_kept(tmp_path: Path, key: str, expected: ProjectType) -> None:
    """A connection that is saved knows the type of its project."""
    async with syncing(tmp_path) as sync:
        assert (await save(sync, key)).project_type is expected


async def test_type_is_corrected(tmp_path: Path) -> None:
    """A correction leaves one entry in the audit log."""
    async with syncing(tmp_path) as sync:
        connection = await save(sync, DEFAULT_KEY)
        by: dict[str, Any] = {"by": "U1", "team_id": None}
        changed = await manage.change(sync.engine, connection, project_type=ProjectType.HYBRID, **by)
        assert changed == {"project_type": (ProjectType.EMAIL, ProjectType.HYBRID)}
        async with sync.engine.database.read() as db:
            saved = await connections.by_id(db, connection.id)
            entries = (await db.execute(select(audit_log.c.action).order_by(audit_log.c.id))).scalars().all()
        assert saved is not None
        assert saved.project_type is ProjectType.HYBRID
        assert entries == ["connection.added", "connection.changed"]


async def test_type_that_the_data_center_lacks(tmp_path: Path) -> None:
    """An email-based project in the EU is refused."""
    async with syncing(tmp_path) as sync:
        connection = await save(sync, HYBRID_KEY)
        with pytest.raises(ValidationError, match="no email-based projects"):
            await manage.change(
                sync.engine,
                connection,
                data_center=DataCenter.EU,
                project_type=ProjectType.EMAIL,
                by="U1",
                team_id=None,
            )
