"""The control API of the local Iterable under /_sandbox, in JSON, for people, tests and the control panel.

| request                             | does                                                              |
|-------------------------------------|-------------------------------------------------------------------|
| GET /_sandbox                       | projects, lists with sizes, data fields, requests, faults         |
| POST /_sandbox/reset                | back to the samples                                               |
| GET, PATCH /_sandbox/settings       | shows, changes settings (`sandbox.iterable.settings`)             |
| GET, DELETE /_sandbox/faults        | shows, clears the faults                                          |
| POST /_sandbox/faults               | adds one fault (`sandbox.iterable.faults`)                        |
| PUT /_sandbox/faults                | replaces them: {faults, seed?}                                    |
| POST /_sandbox/lists                | a list of any type: {name, type?, description?, project?}         |
| GET /_sandbox/lists/{id}/members    | [[email, userId], ...]                                            |
| GET /_sandbox/lists/{id}/history    | {joins, leaves, people: [[email, userId, joins, leaves], ...]}    |
| POST /_sandbox/lists/{id}/people    | another program: {add?: [email, ...], remove?: [email, ...]}      |
| POST /_sandbox/lists/{id}/hosted    | fills it as mParticle's hosted extension: {profiles, byMpid?}     |
| POST /_sandbox/forget               | forgets a person: {email? userId? project?}                       |
| POST /_sandbox/projects             | a project: {name, type, key}                                      |
| POST /_sandbox/projects/type        | changes the type of one, which Iterable can't: {type, project?}   |
| POST /_sandbox/keys                 | {key, status: active, revoked or forbidden, project?}             |
| POST /_sandbox/campaigns            | a campaign: {name, listIds, suppressionListIds?, inMinutes? state?}|
| PATCH /_sandbox/campaigns/{id}      | {state}: Scheduled, Running, Finished, ...                        |
| GET /_sandbox/requests              | the log: ?path= &method= &after=seq &limit=                       |
| DELETE /_sandbox/requests           | empties the log                                                   |

Errors are 400 or 404 with {error}.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

import orjson
from aiohttp import web

from sandbox.iterable import user_fields
from sandbox.iterable.campaigns import STATES, CampaignState
from sandbox.iterable.faults import fault_from
from sandbox.iterable.hosted_extension import HostedProfile, fill_list
from sandbox.iterable.lists import LIST_TYPES, ListType, MailingList
from sandbox.iterable.request_log import Record
from sandbox.iterable.state import KEY_STATUSES, PROJECT_TYPES, KeyStatus, ProjectType, State

_SHOWN_REQUESTS = 50
_Handler = Callable[[web.Request], Awaitable[object]]


def add_routes(application: web.Application, state: State) -> None:
    """Add the control API of a state to an application."""
    control = _Control(state)
    for method, path, handler in (
        ("GET", "", control.overview),
        ("POST", "/reset", control.reset),
        ("GET", "/settings", control.settings),
        ("PATCH", "/settings", control.change_settings),
        ("GET", "/faults", control.faults),
        ("POST", "/faults", control.add_fault),
        ("PUT", "/faults", control.set_faults),
        ("DELETE", "/faults", control.clear_faults),
        ("POST", "/lists", control.add_list),
        ("GET", r"/lists/{id:\d+}/members", control.members),
        ("GET", r"/lists/{id:\d+}/history", control.history),
        ("POST", r"/lists/{id:\d+}/people", control.change_people),
        ("POST", r"/lists/{id:\d+}/hosted", control.fill_hosted),
        ("POST", "/forget", control.forget),
        ("POST", "/projects", control.add_project),
        ("POST", "/projects/type", control.set_type),
        ("POST", "/keys", control.set_key),
        ("POST", "/campaigns", control.add_campaign),
        ("PATCH", r"/campaigns/{id:\d+}", control.change_campaign),
        ("GET", "/requests", control.requests),
        ("DELETE", "/requests", control.clear_requests),
    ):
        application.router.add_route(method, f"/_sandbox{path}", _in_json(handler))


def _in_json(handler: _Handler) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        try:
            status, value = 200, await handler(request)
        except KeyError as exc:
            status, value = 404, {"error": f"there is no {exc.args[0]}"}
        except ValueError as exc:
            status, value = 400, {"error": str(exc)}
        return web.Response(status=status, body=orjson.dumps(value), content_type="application/json")

    return handle


class _Control:
    """The handlers of the control API."""

    def __init__(self, state: State) -> None:
        self.state = state

    async def overview(self, _request: web.Request) -> object:
        """Return an overview."""
        state, log = self.state, self.state.log
        return {
            "lean": state.lean,
            "now": state.clock(),
            "projects": [
                {
                    "name": project.name,
                    "type": project.type,
                    "people": len(project.people),
                    "forgotten": len(project.forgotten_emails | project.forgotten_user_ids),
                    "channelUnsubscribed": len(project.channel_unsubscribed),
                    "keys": {key: held.status for key, held in state.keys.items() if held.project == project.name},
                    **user_fields.summary(project),
                    "lists": [self._summary(mailing_list) for mailing_list in state.lists_of(project)],
                    "campaigns": [each.described(state.now_ms()) for each in state.campaigns_of(project)],
                }
                for project in state.projects.values()
            ],
            "requests": _rows(log.find(limit=_SHOWN_REQUESTS)),
            "totals": log.totals_by_route(),
            "subscribers": log.subscribers,
            "inFlight": log.in_flight,
            "peakInFlight": log.peak_in_flight,
            "faults": [fault.as_dict() for fault in state.faults.rules],
        }

    async def reset(self, _request: web.Request) -> object:
        """Reset to the samples."""
        self.state.reset()
        return {}

    async def settings(self, _request: web.Request) -> object:
        """Return the settings."""
        return self.state.settings.as_dict()

    async def change_settings(self, request: web.Request) -> object:
        """Change some settings."""
        self.state.settings.update(await _body(request))
        return self.state.settings.as_dict()

    async def faults(self, _request: web.Request) -> object:
        """Return the active faults."""
        faults = self.state.faults
        return {"seed": faults.seed, "faults": [fault.as_dict() for fault in faults.rules]}

    async def add_fault(self, request: web.Request) -> object:
        """Add a fault."""
        self.state.faults.add(fault_from(await _body(request)))
        return await self.faults(request)

    async def set_faults(self, request: web.Request) -> object:
        """Replace all faults."""
        body = await _body(request)
        given, seed = body.get("faults"), body.get("seed")
        if not isinstance(given, list) or not all(isinstance(fault, dict) for fault in given):
            raise ValueError("faults is an array of objects")
        if seed is not None and type(seed) is not int:
            raise ValueError("seed is a whole number")
        self.state.faults.set([fault_from(fault) for fault in given], seed)
        return await self.faults(request)

    async def clear_faults(self, request: web.Request) -> object:
        """Remove all faults."""
        self.state.faults.clear()
        return await self.faults(request)

    async def add_list(self, request: web.Request) -> object:
        """Create a list of any type."""
        body = await _body(request)
        list_type = _one_of(body, "type", LIST_TYPES, "Standard")
        project = _text(body, "project")
        self._known_project(project)
        return self._summary(
            self.state.add_list(
                _text(body, "name", required=True),
                cast(ListType, list_type),
                description=_text(body, "description"),
                project=project,
            )
        )

    async def members(self, request: web.Request) -> object:
        """Return the members of a list."""
        return self.state.members(self._list(request).id)

    async def history(self, request: web.Request) -> object:
        """Return who joined and left a list, and how often."""
        mailing_list = self._list(request)
        events = mailing_list.events
        joins, leaves = (
            sum(len(event.numbers) for event in events if event.joined is joined) for joined in (True, False)
        )
        return {"joins": joins, "leaves": leaves, "people": self.state.history(mailing_list.id)}

    async def change_people(self, request: web.Request) -> object:
        """Add and remove people, as another program does."""
        body = await _body(request)
        mailing_list = self._list(request)
        people = self.state.projects[mailing_list.project].people
        leaving = [people.emails.first.get(email) for email in _texts(body, "remove")]
        mailing_list.leave([each for each in leaving if each in mailing_list.members], self.state.clock())
        joining = []
        for email in _texts(body, "add"):
            known = people.emails.first.get(email)
            joining.append(people.add(email, None) if known is None else known)
        mailing_list.join(joining, self.state.clock())
        return self._summary(mailing_list)

    async def fill_hosted(self, request: web.Request) -> object:
        """Fill a list of the first project as mParticle's hosted extension does.

        A profile is {mpid, email?, customerId?, deviceId?}.
        """
        body = await _body(request)
        mailing_list = self._list(request)
        profiles = body.get("profiles")
        if not isinstance(profiles, list) or not all(isinstance(each, dict) for each in profiles):
            raise ValueError("profiles is an array of objects")
        hosted = [
            HostedProfile(int(each["mpid"]), each.get("email"), each.get("customerId"), each.get("deviceId"))
            for each in profiles
        ]
        fill_list(self.state, mailing_list.id, hosted, by_mpid=bool(body.get("byMpid")))
        return self._summary(mailing_list)

    async def forget(self, request: web.Request) -> object:
        """Forget a person."""
        body = await _body(request)
        email, user_id, project = _text(body, "email"), _text(body, "userId"), _text(body, "project")
        if not email and not user_id:
            raise ValueError("email or userId is missing")
        self._known_project(project)
        known = self.state.forget(email=email or None, user_id=user_id or None, project=project)
        return {"known": known}

    async def add_project(self, request: web.Request) -> object:
        """Create a project."""
        body = await _body(request)
        project_type = _one_of(body, "type", PROJECT_TYPES, "email")
        name, key = _text(body, "name", required=True), _text(body, "key", required=True)
        self.state.add_project(name, cast(ProjectType, project_type), key)
        return {"name": name, "type": project_type}

    async def set_type(self, request: web.Request) -> object:
        """Change the type of a project."""
        body = await _body(request)
        project = _text(body, "project")
        self._known_project(project)
        changed = self.state.project(project)
        changed.type = cast(ProjectType, _one_of(body, "type", PROJECT_TYPES, ""))
        return {"name": changed.name, "type": changed.type}

    async def set_key(self, request: web.Request) -> object:
        """Revoke, forbid, restore or add a key."""
        body = await _body(request)
        key, project = _text(body, "key", required=True), _text(body, "project")
        status = cast(KeyStatus, _one_of(body, "status", KEY_STATUSES, "active"))
        self._known_project(project)
        held = self.state.keys.get(key)
        self.state.add_key(key, project or (held.project if held else ""), status)
        return {"status": status}

    async def add_campaign(self, request: web.Request) -> object:
        """Create a campaign that is scheduled in some minutes, in the project of its first list."""
        body = await _body(request)
        list_ids, suppression_list_ids = _ids(body, "listIds"), _ids(body, "suppressionListIds")
        owners = {self._known_list(list_id).project for list_id in (*list_ids, *suppression_list_ids)}
        if len(owners) != 1:
            raise ValueError("listIds and suppressionListIds are ids of lists of one project")
        minutes, send = body.get("inMinutes", 15), body.get("sendMinutes", 1)
        if not isinstance(minutes, int | float) or not isinstance(send, int | float):
            raise ValueError("inMinutes and sendMinutes are numbers")
        state = cast(CampaignState, _one_of(body, "state", STATES, "Scheduled"))
        campaign = self.state.add_campaign(
            _text(body, "name", required=True),
            list_ids,
            start_at=self.state.now_ms() + int(minutes * 60_000),
            suppression_list_ids=suppression_list_ids,
            state=state,
            project=owners.pop(),
            send_ms=int(send * 60_000),
        )
        return campaign.described(self.state.now_ms())

    async def change_campaign(self, request: web.Request) -> object:
        """Change the state of a campaign."""
        body = await _body(request)
        campaign_id = int(request.match_info["id"])
        if campaign_id not in self.state.campaigns:
            raise KeyError(f"campaign {campaign_id}")
        campaign = self.state.campaigns[campaign_id]
        campaign.state = cast(CampaignState, _one_of(body, "state", STATES, campaign.state))
        return campaign.described(self.state.now_ms())

    async def requests(self, request: web.Request) -> object:
        """Return the log."""
        query = request.query
        limit = _whole(query.get("limit"))
        records = self.state.log.find(
            query.get("path", ""), query.get("method", ""), _whole(query.get("after")) or 0, limit
        )
        return {"now": self.state.clock(), "requests": _rows(records)}

    async def clear_requests(self, _request: web.Request) -> object:
        """Clear the log."""
        self.state.log.clear()
        return {}

    def _summary(self, mailing_list: MailingList) -> dict[str, object]:
        return {
            "id": mailing_list.id,
            "name": mailing_list.name,
            "type": mailing_list.type,
            "size": mailing_list.size(),
        }

    def _list(self, request: web.Request) -> MailingList:
        return self._known_list(int(request.match_info["id"]))

    def _known_list(self, list_id: int) -> MailingList:
        if list_id not in self.state.lists:
            raise KeyError(f"list {list_id}")
        return self.state.lists[list_id]

    def _known_project(self, name: str) -> None:
        if name and name not in self.state.projects:
            raise KeyError(f"project {name!r}")


async def _body(request: web.Request) -> dict[str, Any]:
    try:
        body = orjson.loads(await request.read())
    except orjson.JSONDecodeError as exc:
        raise ValueError(f"the body is not JSON: {exc}") from exc
    if not isinstance(body, dict):
        raise ValueError("the body is a JSON object")
    return body


def _text(body: dict[str, Any], name: str, *, required: bool = False) -> str:
    value = body.get(name, "")
    if not isinstance(value, str) or (required and not value):
        raise ValueError(f"{name} is a string")
    return value


def _one_of(body: dict[str, Any], name: str, choices: tuple[str, ...], default: str) -> str:
    value = body.get(name, default)
    if value not in choices:
        raise ValueError(f"{name} is one of {', '.join(choices)}")
    return str(value)


def _texts(body: dict[str, Any], name: str) -> list[str]:
    value = body.get(name, [])
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise ValueError(f"{name} is an array of emails")
    return value


def _ids(body: dict[str, Any], name: str) -> list[int]:
    value = body.get(name, [])
    if not isinstance(value, list) or not all(type(each) is int for each in value):
        raise ValueError(f"{name} is an array of ids")
    return value


def _whole(value: str | None) -> int | None:
    return None if value is None else int(value)


def _rows(records: list[Record]) -> list[dict[str, Any]]:
    return [record.as_dict() for record in records]
