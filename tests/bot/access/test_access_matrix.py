"""Each listener is called by everyone who can cause it to be called: members, outsiders, other workspaces."""

import itertools
import json
import re
import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from slack_bolt.async_app import AsyncApp, AsyncBoltRequest
from slack_bolt.response import BoltResponse
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.app import register_listeners
from bot.features.help.subcommands import SUBCOMMANDS
from bot.services import Services
from bot.slack.access_gate import OTHER_WORKSPACE, STRANGER, PendingReplies
from bot.slack.admins import AdminDirectory
from bot.slack.app_factory import Workspaces, build_app
from bot.slack.clients import Clients
from bot.slack.listener_tracker import ListenerTracker
from bot.slack.mode import SlackMode
from core import alerting
from core.connections.audience_cache import AudienceCache
from core.connections.list_cache import ListCache
from core.engine import Engine, open_engine
from core.identity import UserIdField
from core.iterable import DataCenter
from core.models.run import RunPlan, RunRequest, RunStatus
from core.store import (
    alerts,
    api_tokens,
    approvals,
    connections,
    file_sources,
    lists,
    mappings,
    routes,
    runs,
    schedules,
)
from core.store.alert_kinds import AlertKind
from core.store.api_tokens import Scope
from core.store.connections import project_of
from core.store.file_sources import Existing
from core.store.mappings import MappingStatus
from core.store.routes import RouteKind
from core.store.schedules import Missed, Trigger
from core.store.tables import metadata
from sandbox.iterable import Running
from sandbox.iterable import running as iterable_running
from sandbox.slack import Slack
from sandbox.slack.workspace import outsiders
from sandbox.slack.workspace.sample_workspaces import FIRST_TEAM, SECOND_TEAM
from tests.bot.access.cases import CASES, LIST, PLAN_DIGEST, SUBCOMMAND_CASES, Case, Json, Right, Target
from tests.bot.slack.harness import ADA, AMIR, MAYA, OKSANA, local_slack, settings_for
from tests.core.databases import FILE, furnish, sampled
from tests.core.harness import QUICK

ALL: Mapping[str, Case] = {**CASES, **{f"/iterable-sync {name}": case for name, case in SUBCOMMAND_CASES.items()}}

#: The answers to a request that a person may not make, or that names an object of another workspace.
REFUSALS = re.compile(
    "|".join(
        (
            re.escape(OTHER_WORKSPACE),
            re.escape(STRANGER),
            "Only members of this workspace can use this app",
            "Only operators and approvers",
            "Only approvers and named operators",
            "Only an approver of",
            "Only (an )?admins? (or|and) owners? of this workspace",
            "named operators and approvers",
            "There is no (such )?(connection|mapping|run|alert|route|token)",
            "No mapping is called",
            "for members of this workspace",
        )
    )
)


@dataclass(frozen=True)
class Person:
    """A person who acts, and their rights. `team`: the workspace of their account."""

    id: str
    rights: frozenset[Right] = frozenset()
    team: str = FIRST_TEAM
    operators: tuple[str, ...] = (OKSANA,)


_MEMBER = frozenset({Right.LOOK})
_OPERATOR = _MEMBER | {Right.START, Right.ADDRESSES}
PEOPLE: Mapping[str, Person] = {
    "operator": Person(OKSANA, _OPERATOR),
    "approver": Person(AMIR, _OPERATOR | {Right.DECIDE}),
    "admin": Person(ADA, _MEMBER | {Right.ADMINISTER}),
    "member": Person(MAYA, _MEMBER),
    "member, no operator is named": Person(MAYA, _MEMBER | {Right.START}, operators=()),
    "guest": Person(outsiders.GUEST, operators=()),
    "guest of one channel": Person(outsiders.SINGLE_CHANNEL_GUEST, operators=()),
    "bot": Person(outsiders.BOT, operators=()),
    "deactivated": Person(outsiders.DEACTIVATED, operators=()),
    "other workspace": Person(outsiders.NEIGHBOUR, team=SECOND_TEAM, operators=()),
    "Slack Connect": Person(outsiders.STRANGER, team=outsiders.PARTNER_TEAM, operators=()),
}


@dataclass
class Bot:
    """The bot's listeners between a local Slack and a local Iterable, without background work."""

    slack: Slack
    iterable: Running
    engine: Engine
    app: AsyncApp
    tracker: ListenerTracker
    replies: PendingReplies
    reader: sqlite3.Connection
    _numbers: Any = field(default_factory=itertools.count)
    _rows: tuple[int, Mapping[str, list[str]]] = (-1, {})

    async def target(self, team_id: str, operators: tuple[str, ...], approvers: tuple[str, ...] = (AMIR,)) -> Target:
        """Add a connection to a workspace, with a proposed mapping, a run that waits for approval, and an alert."""
        audience, key = f"Everest-{next(self._numbers)}", self.iterable.key
        async with self.engine.database.write() as db:
            connection_id = await connections.add(
                db,
                name=audience,
                api_key=self.engine.vault.encrypt(key),
                key_last4=key[-4:],
                rate_limit_key=project_of(key),
                data_center=DataCenter.US,
                user_id_field=UserIdField.CUSTOMER_ID,
                requests_per_second=0.0,
                team_id=team_id,
                operators=operators,
                approvers=approvers,
            )
            await lists.add(db, connection_id, LIST, "Newsletter", None)
            mapping_id = await mappings.add(
                db,
                connection_id=connection_id,
                list_id=LIST,
                audience_id=None,
                audience_name=audience,
                status=MappingStatus.PROPOSED,
            )
            mapping = await mappings.by_id(db, mapping_id)
            assert mapping is not None
            run_id = runs.new_id()
            values: Json = {"mode": "mirror", "user_id_field": "customerId", "rate": 0.0}
            await runs.add(db, run_id=run_id, mapping=mapping, request=RunRequest(path="a.csv"), **values)
            await runs.set_status(db, run_id, RunStatus.NEEDS_APPROVAL)
            run = await runs.by_id(db, run_id)
            assert run is not None
            await approvals.set_digest(db, run, RunPlan(), PLAN_DIGEST, is_approved=False)
            subject: Json = {"connection_id": connection_id, "mapping_id": mapping_id, "run_id": run_id}
            await alerting.open_or_repeat(db, **subject, code="failed", message="It failed.")
            alert = await alerts.open_of(db, connection_id, mapping_id, AlertKind.FAILURE)
            assert alert is not None
            schedule_id = await _schedule(db, connection_id, mapping_id)
            route = await routes.add(
                db,
                name=audience,
                kind=RouteKind.SLACK,
                team_id=team_id,
                connection_id=connection_id,
                events=["alert.*"],
                is_fallback=False,
                target="C01MARKETING",
                sealed=None,
                created_by=ADA,
            )
            token = await api_tokens.add(
                db, name=audience, team_id=team_id, digest=audience, last4="abcd", scopes=[Scope.READ], created_by=ADA
            )
        return Target(connection_id, mapping_id, run_id, alert.id, schedule_id, route.id, token.id, audience)

    async def is_refused(self, case: Case, person: Person, target: Target) -> bool:
        """Return whether the bot refuses a request, and remove the target if it doesn't.

        A refused request must have changed nothing, so another request may name the same target.
        """
        before, called = self._stored(), len(self.slack.world.calls)
        body = self._request(case.body(target), person)
        response = await self.app.async_dispatch(AsyncBoltRequest(body=body, mode="socket_mode"))
        await self.tracker.finish()
        await self.replies.finish()
        answers = json.dumps(
            [response.body, *(call.args for call in list(self.slack.world.calls)[called:])], default=str
        )
        assert "Something unexpected happened" not in answers
        is_refused = (
            _offers_nothing(response) if body.get("type") == "block_suggestion" else bool(REFUSALS.search(answers))
        )
        if is_refused:
            assert self._stored() == before, "a refused request changed something"
        else:
            async with self.engine.database.write() as db:
                await connections.remove(db, target.connection_id)
        return is_refused

    def _request(self, body: Json, person: Person) -> Json:
        """Return a request as this person makes it."""
        installed = person.team if person.team == SECOND_TEAM else FIRST_TEAM
        user = self.slack.world.users[person.id]
        trigger = {"trigger_id": self.slack.world.new_trigger(user, "C01MARKETING").id}
        if "command" in body:  # in another workspace, a person types the command of the app that is installed there
            return {**body, **trigger, "team_id": person.team, "user_id": person.id}
        if body["type"] == "event_callback":
            event = (
                {**body["event"], "user": person.id} if body["event"]["type"] == "app_home_opened" else body["event"]
            )
            authorizations = [{"team_id": installed, "enterprise_id": None, "is_enterprise_install": False}]
            return {**body, "event": event, "team_id": installed, "authorizations": authorizations}
        team = person.team if body["type"] == "view_submission" else installed
        if "view" in body:
            body = {**body, "view": {**body["view"], "app_installed_team_id": installed, "team_id": installed}}
        return {**body, **trigger, "team": {"id": team}, "user": {"id": person.id, "team_id": person.team}}

    def _stored(self) -> Mapping[str, list[str]]:
        """Return the rows of all tables but that of the running processes.

        Not through the engine, and only if another connection has written since they were read last: most requests are
        refused and write nothing. See https://sqlite.org/pragma.html#pragma_data_version.
        """
        ((version,),) = self.reader.execute("PRAGMA data_version")
        if version != self._rows[0]:
            tables = [name for (name,) in self.reader.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
            assert set(metadata.tables) <= set(tables)
            rows = {
                name: sorted(map(str, self.reader.execute(f"SELECT * FROM {name}")))
                for name in tables
                if name != "workers"
            }
            self._rows = version, rows
        return self._rows[1]


async def _schedule(db: AsyncConnection, connection_id: int, mapping_id: int) -> int:
    """Add a source and a schedule to a mapping, and return the schedule's id."""
    place: Json = {"address": "/none", "sealed": None, "columns": {}, "sheet": None, "archive": None}
    await file_sources.put(db, mapping_id, **place, existing=Existing.NEWEST, set_by=OKSANA, team_id=None)
    values: Json = {"cron": None, "after_mapping_id": None, "quiet_from": None, "quiet_to": None, "next_due_at": None}
    return await schedules.add(
        db,
        connection_id=connection_id,
        mapping_id=mapping_id,
        name="Nightly",
        trigger=Trigger.NEW_FILE,
        time_zone="UTC",
        missed=Missed.ONCE,
        created_by=OKSANA,
        **values,
    )


def _offers_nothing(response: BoltResponse) -> bool:
    return not json.loads(response.body or "{}").get("options")


@asynccontextmanager
async def running_bot(directory: Path, *, one_workspace: bool = True) -> AsyncIterator[Bot]:
    """Run the bot for the length of the block. Without `one_workspace` it serves all workspaces."""
    async with local_slack() as slack, iterable_running() as iterable:
        slack.add_outsiders()
        settings = settings_for(slack, iterable, directory)
        furnish(settings)
        async with open_engine(settings, "test", retry_policy=QUICK) as engine:
            clients, list_cache = Clients(slack.api_url, slack.bot_token, None), ListCache(engine)
            audiences = AudienceCache(engine)
            services = Services(engine, list_cache, audiences, clients, AdminDirectory(), one_workspace=one_workspace)
            app = register_listeners(build_app(settings, SlackMode.SOCKET, Workspaces(clients)), services)
            try:
                with closing(sqlite3.connect(engine.settings.data_dir / FILE)) as reader:
                    yield Bot(slack, iterable, engine, app, ListenerTracker(app), services.replies, reader)
            finally:
                await list_cache.close()
                await audiences.close()


@pytest.mark.parametrize("role", sampled(PEOPLE, 3))
async def test_who_may_do_what(tmp_path: Path, role: str) -> None:
    """A person may do what the page about permissions says, and nothing else."""
    person = PEOPLE[role]
    async with running_bot(tmp_path) as bot:
        wrong, target = [], None
        for name, case in ALL.items():
            if case.right is Right.NO_PERSON and person.team != SECOND_TEAM:
                continue  # other tests cover its effect
            target = target or await bot.target(FIRST_TEAM, person.operators)
            if not (refused := await bot.is_refused(case, person, target)):
                target = None
            is_silent = case.right is Right.NO_PERSON or (name == "app_home_opened" and person.team == SECOND_TEAM)
            if not is_silent and refused == (case.right in person.rights):
                wrong.append(f"{name} was {'refused' if refused else 'allowed'}")
    assert not wrong, "; ".join(wrong)


async def test_ids_of_another_tenant(tmp_path: Path) -> None:
    """A person who has all rights in a workspace reaches no object of another workspace by its id."""
    rights = frozenset(Right)
    for person in (Person(AMIR, rights), Person(ADA, rights)):
        async with running_bot(tmp_path / person.id, one_workspace=False) as bot:
            reached, foreign = [], None
            await bot.target(FIRST_TEAM, (person.id,), (person.id,))
            for name, case in ALL.items():
                if case.names_id:
                    # the other workspace names the same people, so that only the workspace makes the difference
                    foreign = foreign or await bot.target(SECOND_TEAM, (person.id,), (person.id, AMIR))
                    if not await bot.is_refused(case, person, foreign):
                        reached.append(name)
                        foreign = None
        assert not reached, "; ".join(reached)


@pytest.mark.parametrize("role", ["guest", "bot", "deactivated"])
async def test_outsider_who_is_named(tmp_path: Path, role: str) -> None:
    """A guest who is named as operator of a connection may cancel its runs, and sees no other connection."""
    person = PEOPLE[role]
    async with running_bot(tmp_path) as bot:
        assert not await bot.is_refused(CASES["runs-cancel"], person, await bot.target(FIRST_TEAM, (person.id,)))
        own = await bot.target(FIRST_TEAM, (person.id,))
        assert await bot.is_refused(CASES["runs-cancel"], person, await bot.target(FIRST_TEAM, ()))
        assert not await bot.is_refused(SUBCOMMAND_CASES["status"], person, own)


async def test_every_listener_is_in_the_matrix(tmp_path: Path) -> None:
    """The matrix has a request for each registered listener and each subcommand."""
    async with running_bot(tmp_path) as bot:
        target = await bot.target(FIRST_TEAM, ())
        requests = [
            AsyncBoltRequest(body=bot._request(case.body(target), PEOPLE["operator"]), mode="socket_mode")
            for case in ALL.values()
        ]
        missing = [
            each.ack_function.__qualname__
            for each in bot.app._async_listeners
            if not [
                request for request in requests if await each.async_matches(req=request, resp=BoltResponse(status=200))
            ]
        ]
    assert missing == []
    assert set(SUBCOMMAND_CASES) == set(SUBCOMMANDS)
