"""One request for each listener of the bot, and the right that it needs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from bot.features.alerts.rules_form import RulesMetadata
from bot.features.approval.together import PlanRefs
from bot.features.approval.views import PlanRef
from bot.features.connect.form import ConnectionForm, KeyModalState
from bot.features.connect.mparticle_form import MParticleForm
from bot.features.freezes.form import FreezeMetadata
from bot.features.ids import (
    COMMAND,
    AlertAction,
    AlertBlock,
    AlertCallback,
    ApprovalAction,
    ApprovalCallback,
    ConnectAction,
    ConnectBlock,
    ConnectCallback,
    DriftAction,
    FreezeAction,
    FreezeBlock,
    FreezeCallback,
    HomeAction,
    LiveAudienceAction,
    MappingAction,
    MappingBlock,
    MappingCallback,
    ReportAction,
    ReportBlock,
    ReportCallback,
    RouteAction,
    RouteBlock,
    RouteCallback,
    RunAction,
    RunBlock,
    RunCallback,
    RunShortcut,
    ScheduleAction,
    ScheduleBlock,
    ScheduleCallback,
    TokenAction,
    TokenBlock,
    TokenCallback,
    UndoAction,
    UndoCallback,
    plan_value,
    repair_value,
)
from bot.features.mapping.data_fields import FieldsMetadata
from bot.features.mapping.form import MapMetadata, ReviewMetadata
from bot.features.mapping.variants import VariantsMetadata
from bot.features.mapping_management.form import ManagementMetadata
from bot.features.mapping_management.list_form import ListMetadata
from bot.features.mapping_management.people import PeopleMetadata
from bot.features.reports.form import ReportsMetadata
from bot.features.routes.views import RoutesMetadata
from bot.features.runs.columns import ColumnsMetadata
from bot.features.runs.form import StartMetadata
from bot.features.schedules.form import ScheduleMetadata
from bot.features.undo.views import UndoMetadata
from bot.ui.modal_state import Metadata

Json = dict[str, Any]
LIST = 1001
#: The digest of the plan that waits for approval.
PLAN_DIGEST = "3f7a9c"


class Right(StrEnum):
    """What a person needs to make a request."""

    LOOK = "look"
    """A member of the workspace."""
    START = "start"
    """An operator or approver; any member if the connection names no operators."""
    ADDRESSES = "addresses"
    """A named operator or approver."""
    DECIDE = "decide"
    """An approver."""
    ADMINISTER = "administer"
    """An admin of the workspace."""
    NO_PERSON = "no person"
    """No person: Slack itself sends the event, and it concerns the whole workspace."""


@dataclass(frozen=True)
class Target:
    """The objects that a request names. Ids are those of one workspace."""

    connection_id: int
    mapping_id: int
    run_id: str
    alert_id: int
    schedule_id: int
    route_id: int
    token_id: int
    audience: str


@dataclass(frozen=True)
class Case:
    """A request without its author, and the right that it needs. `names_id`: it names an object by its id."""

    body: Callable[[Target], Json]
    right: Right
    names_id: bool = True


def _button(
    action: str, value: Callable[[Target], object] = lambda _: "", view: Json | None = None
) -> Callable[..., Json]:
    def body(target: Target) -> Json:
        element = {
            "type": "button",
            "action_id": action,
            "block_id": "b",
            "value": str(value(target)),
            "action_ts": "1.1",
        }
        place: Json = {"container": {"type": "message", "message_ts": "1.1", "channel_id": "C01MARKETING"}}
        place["channel"] = {"id": "C01MARKETING", "name": "marketing"}
        if view is not None:
            place = {"container": {"type": "view", "view_id": "V1"}, "view": view}
        return {"type": "block_actions", "actions": [element], **place}

    return body


def _in_modal(
    action: str, value: Callable[[Target], object], metadata: Callable[[Target], Metadata], values: Json
) -> Any:
    def body(target: Target) -> Json:
        return _button(action, value, _view("modal", metadata(target), values_of(values, target)))(target)

    return body


def _at_home(action: str, value: str = "") -> Callable[..., Json]:
    page = {"id": "V1", "type": "home", "private_metadata": "", "state": {"values": {}}}
    return _button(action, lambda _: value, page)


def _submission(
    callback: str, metadata: Callable[[Target], Metadata], values: Json | None = None
) -> Callable[..., Json]:
    def body(target: Target) -> Json:
        view = _view(callback, metadata(target), values_of(values or {}, target))
        return {"type": "view_submission", "view": view, "response_urls": []}

    return body


def _typing(action: str, metadata: Callable[[Target], Metadata]) -> Callable[..., Json]:
    def body(target: Target) -> Json:
        place = {"container": {"type": "view", "view_id": "V1"}, "view": _view("modal", metadata(target), {})}
        return {"type": "block_suggestion", "action_id": action, "block_id": "b", "value": "e", **place}

    return body


def _view(callback: str, metadata: Metadata, values: Json) -> Json:
    return {
        "id": "V1",
        "type": "modal",
        "callback_id": callback,
        "private_metadata": metadata.dump(),
        "blocks": [{"block_id": block_id} for block_id in values],
        "state": {"values": values},
        "hash": "1.h",
    }


def values_of(values: Json, target: Target) -> Json:
    """Return the state of a modal: the state of its element by block id."""
    elements: Json = {}
    for block, state in values.items():
        element = state(target) if callable(state) else state
        name = block.replace("{connection}", str(target.connection_id))
        elements[name] = {"element": element}
    return elements


def _chosen(value: Callable[[Target], object]) -> Callable[[Target], Json]:
    return lambda target: {"selected_option": {"value": str(value(target))}}


def _command(text: Callable[[Target], str]) -> Callable[..., Json]:
    return lambda target: {
        "command": COMMAND,
        "text": text(target),
        "channel_id": "C01MARKETING",
        "channel_name": "marketing",
    }


def _shortcut(_target: Target) -> Json:
    file = {"id": "F0123ABCD", "name": "a.csv", "size": 1}
    message = {"ts": "1.1", "text": "", "files": [file]}
    channel = {"id": "C01MARKETING", "name": "marketing"}
    return {"type": "message_action", "callback_id": RunShortcut.SYNC, "message": message, "channel": channel}


def _event(kind: str, **more: Any) -> Callable[..., Json]:
    return lambda _: {"type": "event_callback", "event": {"type": kind, **more}, "event_id": "Ev1", "event_time": 1}


def _connection(target: Target) -> int:
    return target.connection_id


def _mapping(target: Target) -> int:
    return target.mapping_id


def _run(target: Target) -> str:
    return target.run_id


def _plan(target: Target) -> str:
    return plan_value(target.run_id, PLAN_DIGEST)


def _plan_ref(target: Target) -> Metadata:
    return PlanRef(run_id=target.run_id, plan_digest=PLAN_DIGEST)


def _plan_refs(target: Target) -> Metadata:
    return PlanRefs(plans=((target.run_id, PLAN_DIGEST),))


def _map_metadata(target: Target) -> Metadata:
    return MapMetadata(connection_id=target.connection_id)


def _schedule(target: Target) -> int:
    return target.schedule_id


def _route(target: Target) -> int:
    return target.route_id


def _token(target: Target) -> int:
    return target.token_id


def _no_metadata(_target: Target) -> Metadata:
    return Metadata()


def _routes(target: Target) -> Metadata:
    return RoutesMetadata(connection_id=target.connection_id)


def _schedule_metadata(target: Target) -> Metadata:
    return ScheduleMetadata(mapping_id=target.mapping_id)


def _form(target: Target) -> Metadata:
    return ConnectionForm(connection_id=target.connection_id, name="Shop", approvers=("U01AMIR",))


def _mparticle_form(target: Target) -> Metadata:
    return MParticleForm(connection_id=target.connection_id)


def _managed(target: Target) -> Metadata:
    return ManagementMetadata(mapping_id=target.mapping_id)


_MPARTICLE_VALUES: Json = {
    ConnectBlock.MPARTICLE_ACCOUNT: {"value": "4711"},
    ConnectBlock.MPARTICLE_CLIENT: {"value": "a-client"},
    ConnectBlock.MPARTICLE_SECRET: {"value": "a-secret-that-mparticle-does-not-know"},
}
_FORM_VALUES: Json = {
    ConnectBlock.NAME: {"value": "Another"},
    ConnectBlock.KEY: {"value": "a-key-that-iterable-does-not-know"},
    ConnectBlock.RATE: {"value": "5"},
    ConnectBlock.APPROVERS: {"selected_users": ["U01AMIR"]},
}
_MAP_VALUES: Json = {
    MappingBlock.AUDIENCE: {"value": "Summer"},
    MappingBlock.LIST + "-{connection}": {"selected_option": {"value": str(LIST)}},
}
_START_VALUES: Json = {
    RunBlock.MAPPING: _chosen(_mapping),
    RunBlock.ADDRESS: {"value": "https://example.com/audience.csv"},
}

CASES: Mapping[str, Case] = {
    ConnectAction.OPEN: Case(_button(ConnectAction.OPEN), Right.ADMINISTER, names_id=False),
    ConnectAction.EDIT: Case(_button(ConnectAction.EDIT, _connection), Right.ADMINISTER),
    ConnectAction.KEY: Case(_button(ConnectAction.KEY, _connection), Right.ADMINISTER),
    ConnectAction.AGAIN: Case(_in_modal(ConnectAction.AGAIN, lambda _: "", _form, {}), Right.ADMINISTER),
    ConnectAction.OPTIONS: Case(
        _in_modal(ConnectAction.OPTIONS, lambda _: "", lambda _: ConnectionForm(), {}), Right.ADMINISTER, names_id=False
    ),
    ConnectAction.KEY_AGAIN: Case(_in_modal(ConnectAction.KEY_AGAIN, _connection, _form, {}), Right.ADMINISTER),
    ConnectCallback.CONNECT: Case(
        _submission(ConnectCallback.CONNECT, lambda _: ConnectionForm(), _FORM_VALUES), Right.ADMINISTER, names_id=False
    ),
    ConnectCallback.EDIT: Case(_submission(ConnectCallback.EDIT, _form, _FORM_VALUES), Right.ADMINISTER),
    ConnectCallback.KEY: Case(
        _submission(ConnectCallback.KEY, lambda t: KeyModalState(connection_id=t.connection_id), _FORM_VALUES),
        Right.ADMINISTER,
    ),
    ConnectAction.MPARTICLE: Case(_button(ConnectAction.MPARTICLE, _connection), Right.ADMINISTER),
    ConnectAction.MPARTICLE_AGAIN: Case(
        _in_modal(ConnectAction.MPARTICLE_AGAIN, lambda _: "", _mparticle_form, {}), Right.ADMINISTER
    ),
    ConnectAction.MPARTICLE_REMOVE: Case(
        _in_modal(ConnectAction.MPARTICLE_REMOVE, _connection, _mparticle_form, {}), Right.ADMINISTER
    ),
    ConnectCallback.MPARTICLE: Case(
        _submission(ConnectCallback.MPARTICLE, _mparticle_form, _MPARTICLE_VALUES), Right.ADMINISTER
    ),
    MappingAction.OPEN: Case(_button(MappingAction.OPEN, _connection), Right.START, names_id=False),
    MappingAction.CONNECTION: Case(
        _in_modal(
            MappingAction.CONNECTION, lambda _: "", _map_metadata, {MappingBlock.CONNECTION: _chosen(_connection)}
        ),
        Right.START,
    ),
    MappingAction.OPTIONS: Case(_in_modal(MappingAction.OPTIONS, lambda _: "", _map_metadata, {}), Right.START),
    MappingAction.LIST: Case(_typing(MappingAction.LIST, _map_metadata), Right.START),
    MappingAction.AUDIENCE: Case(_typing(MappingAction.AUDIENCE, _map_metadata), Right.START),
    MappingCallback.MAP: Case(_submission(MappingCallback.MAP, _map_metadata, _MAP_VALUES), Right.START),
    MappingCallback.VARIANTS: Case(
        _submission(
            MappingCallback.VARIANTS,
            lambda t: VariantsMetadata(
                connection_id=t.connection_id, file_id="F0123ABCD", file_name="a.zip", variants=("Spring - Blue",)
            ),
            {MappingBlock.VARIANT_LIST.of(0): {"selected_option": {"value": str(LIST)}}},
        ),
        Right.START,
    ),
    MappingAction.REVIEW: Case(_button(MappingAction.REVIEW, _mapping), Right.DECIDE),
    MappingCallback.REVIEW: Case(
        _submission(
            MappingCallback.REVIEW,
            lambda t: ReviewMetadata(mapping_id=t.mapping_id, connection_id=t.connection_id),
        ),
        Right.DECIDE,
    ),
    MappingAction.DECLINE: Case(_in_modal(MappingAction.DECLINE, _mapping, _map_metadata, {}), Right.DECIDE),
    MappingAction.PAUSE: Case(_button(MappingAction.PAUSE, _mapping), Right.START),
    MappingAction.RESUME: Case(_button(MappingAction.RESUME, _mapping), Right.START),
    **{
        each: Case(_button(each, lambda t: repair_value(t.mapping_id, "both")), Right.START)
        for each in (DriftAction.REPAIR, DriftAction.ADD_MISSING)
    },
    DriftAction.PEOPLE: Case(_button(DriftAction.PEOPLE, _mapping), Right.ADDRESSES),
    DriftAction.KEEP: Case(_button(DriftAction.KEEP, _mapping), Right.START),
    FreezeAction.OPEN: Case(_button(FreezeAction.OPEN, _mapping), Right.START),
    FreezeAction.UNFREEZE: Case(_button(FreezeAction.UNFREEZE, _mapping), Right.START),
    FreezeCallback.FREEZE: Case(
        _submission(
            FreezeCallback.FREEZE,
            lambda t: FreezeMetadata(mapping_id=t.mapping_id),
            {FreezeBlock.UNTIL: {"value": "2h"}},
        ),
        Right.START,
    ),
    MappingAction.FIELDS: Case(_button(MappingAction.FIELDS, _mapping), Right.START),
    MappingCallback.FIELDS: Case(
        _submission(
            MappingCallback.FIELDS,
            lambda t: FieldsMetadata(mapping_id=t.mapping_id),
            {MappingBlock.FIELDS_TEXT: {"value": "Plan=plan"}},
        ),
        Right.START,
    ),
    MappingAction.EDIT: Case(_button(MappingAction.EDIT, _mapping), Right.START),
    MappingCallback.EDIT: Case(
        _submission(MappingCallback.EDIT, _managed, {MappingBlock.NAME: {"value": "Gold"}}), Right.START
    ),
    MappingAction.ARCHIVE: Case(_in_modal(MappingAction.ARCHIVE, _mapping, _managed, {}), Right.START),
    MappingAction.RESTORE: Case(_button(MappingAction.RESTORE, _mapping), Right.START),
    MappingAction.DELETE: Case(_in_modal(MappingAction.DELETE, _mapping, _managed, {}), Right.START),
    MappingCallback.DELETE: Case(
        _submission(MappingCallback.DELETE, _managed, {MappingBlock.MEMBERS: {"selected_option": {"value": "remove"}}}),
        Right.START,
    ),
    MappingAction.EXCLUSIONS: Case(_in_modal(MappingAction.EXCLUSIONS, _mapping, _managed, {}), Right.START),
    MappingCallback.EXCLUSIONS: Case(
        _submission(
            MappingCallback.EXCLUSIONS, _managed, {MappingBlock.EXCLUDED_DOMAINS: {"value": "partner.example.com"}}
        ),
        Right.START,
    ),
    MappingAction.CHANGE_LIST: Case(_in_modal(MappingAction.CHANGE_LIST, _mapping, _managed, {}), Right.START),
    MappingCallback.LIST: Case(
        _submission(
            MappingCallback.LIST,
            lambda t: ListMetadata(mapping_id=t.mapping_id, connection_id=t.connection_id),
            {MappingBlock.LIST + "-{connection}": {"selected_option": {"value": str(LIST + 1)}}},
        ),
        Right.START,
    ),
    MappingAction.PEOPLE: Case(_in_modal(MappingAction.PEOPLE, _mapping, _managed, {}), Right.ADMINISTER),
    MappingCallback.PEOPLE: Case(
        _submission(
            MappingCallback.PEOPLE,
            lambda t: PeopleMetadata(mapping_id=t.mapping_id),
            {MappingBlock.APPROVERS: {"selected_users": ["U01OKSANA"]}},
        ),
        Right.ADMINISTER,
    ),
    RunAction.START: Case(_button(RunAction.START, _mapping), Right.START),
    RunShortcut.SYNC: Case(_shortcut, Right.START, names_id=False),
    RunAction.MAPPING: Case(_typing(RunAction.MAPPING, _map_metadata), Right.START, names_id=False),
    RunAction.OPTIONS: Case(
        _in_modal(RunAction.OPTIONS, lambda _: "", lambda _: StartMetadata(), _START_VALUES), Right.START
    ),
    RunCallback.START: Case(_submission(RunCallback.START, lambda _: StartMetadata(), _START_VALUES), Right.START),
    RunAction.CANCEL: Case(_button(RunAction.CANCEL, _run), Right.START),
    RunAction.COLUMNS: Case(_button(RunAction.COLUMNS, _run), Right.START),
    RunCallback.COLUMNS: Case(
        _submission(RunCallback.COLUMNS, lambda t: ColumnsMetadata(run_id=t.run_id)), Right.START
    ),
    RunAction.AGAIN: Case(_button(RunAction.AGAIN, _run), Right.START),
    RunAction.SEND: Case(_button(RunAction.SEND, _run), Right.START),
    RunAction.RETRY: Case(_button(RunAction.RETRY, _run), Right.START),
    RunAction.RETRY_REJECTED: Case(_button(RunAction.RETRY_REJECTED, _run), Right.START),
    RunAction.STOP_RETRYING: Case(_button(RunAction.STOP_RETRYING, _run), Right.START),
    RunAction.REJECTED: Case(_button(RunAction.REJECTED, _run), Right.ADDRESSES),
    RunAction.SEE_WHY: Case(_button(RunAction.SEE_WHY, _run), Right.LOOK),
    ApprovalAction.REVIEW: Case(_button(ApprovalAction.REVIEW, _plan), Right.DECIDE),
    ApprovalAction.DECLINE: Case(_button(ApprovalAction.DECLINE, _plan), Right.DECIDE),
    ApprovalAction.APPROVE: Case(_in_modal(ApprovalAction.APPROVE, _plan, _plan_ref, {}), Right.DECIDE),
    ApprovalAction.DECLINE_HERE: Case(_in_modal(ApprovalAction.DECLINE_HERE, _plan, _plan_ref, {}), Right.DECIDE),
    ApprovalAction.DETAILS: Case(_button(ApprovalAction.DETAILS, _run), Right.LOOK),
    ApprovalCallback.REVIEW_TOGETHER: Case(_submission(ApprovalCallback.REVIEW_TOGETHER, _plan_refs), Right.DECIDE),
    ApprovalCallback.DECLINE_TOGETHER: Case(_submission(ApprovalCallback.DECLINE_TOGETHER, _plan_refs), Right.DECIDE),
    ApprovalCallback.REVIEW: Case(_submission(ApprovalCallback.REVIEW, _plan_ref), Right.DECIDE),
    ApprovalCallback.DECLINE: Case(_submission(ApprovalCallback.DECLINE, _plan_ref), Right.DECIDE),
    **{each: Case(_button(each, _mapping), Right.DECIDE) for each in LiveAudienceAction},
    **{
        each: Case(_button(each, lambda t: t.alert_id), Right.START)
        for each in AlertAction
        if each is not AlertAction.RULES
    },
    AlertAction.RULES: Case(_button(AlertAction.RULES, _mapping), Right.ADMINISTER),
    AlertCallback.RULES: Case(
        _submission(
            AlertCallback.RULES,
            lambda t: RulesMetadata(mapping_id=t.mapping_id),
            {AlertBlock.RULE.of("drift"): {"value": "5"}},
        ),
        Right.ADMINISTER,
    ),
    ReportAction.OPEN: Case(_button(ReportAction.OPEN, _connection), Right.ADMINISTER),
    ReportAction.SEND: Case(
        _in_modal(ReportAction.SEND, _connection, lambda t: ReportsMetadata(connection_id=t.connection_id), {}),
        Right.ADMINISTER,
    ),
    ReportCallback.SETTINGS: Case(
        _submission(
            ReportCallback.SETTINGS,
            lambda t: ReportsMetadata(connection_id=t.connection_id),
            {ReportBlock.TIME_ZONE: {"value": "UTC"}},
        ),
        Right.ADMINISTER,
    ),
    RouteAction.OPEN: Case(_button(RouteAction.OPEN, _connection), Right.ADMINISTER),
    RouteAction.ADD: Case(_in_modal(RouteAction.ADD, _connection, _routes, {}), Right.ADMINISTER),
    RouteAction.TEST: Case(_in_modal(RouteAction.TEST, _route, _routes, {}), Right.ADMINISTER),
    RouteAction.REMOVE: Case(_in_modal(RouteAction.REMOVE, _route, _routes, {}), Right.ADMINISTER),
    RouteCallback.ADD: Case(
        _submission(
            RouteCallback.ADD,
            _routes,
            {RouteBlock.NAME: {"value": "ops"}, RouteBlock.CHANNEL: {"selected_conversation": "C01MARKETING"}},
        ),
        Right.ADMINISTER,
    ),
    TokenAction.OPEN: Case(_at_home(TokenAction.OPEN), Right.ADMINISTER, names_id=False),
    TokenAction.ADD: Case(_in_modal(TokenAction.ADD, lambda _: "", _no_metadata, {}), Right.ADMINISTER, names_id=False),
    TokenAction.REVOKE: Case(_in_modal(TokenAction.REVOKE, _token, _no_metadata, {}), Right.ADMINISTER),
    TokenCallback.CREATE: Case(
        _submission(
            TokenCallback.CREATE,
            _no_metadata,
            {
                TokenBlock.NAME: {"value": "airflow"},
                TokenBlock.SCOPES: {"selected_options": [{"value": "read"}]},
            },
        ),
        Right.ADMINISTER,
        names_id=False,
    ),
    UndoAction.OPEN: Case(_button(UndoAction.OPEN, _run), Right.START),
    UndoCallback.UNDO: Case(_submission(UndoCallback.UNDO, lambda t: UndoMetadata(run_id=t.run_id)), Right.START),
    ScheduleAction.OPEN: Case(_button(ScheduleAction.OPEN, _mapping), Right.START),
    ScheduleAction.WHEN: Case(_in_modal(ScheduleAction.WHEN, lambda _: "", _schedule_metadata, {}), Right.START),
    ScheduleAction.OPTIONS: Case(_in_modal(ScheduleAction.OPTIONS, lambda _: "", _schedule_metadata, {}), Right.START),
    ScheduleCallback.FORM: Case(
        _submission(ScheduleCallback.FORM, _schedule_metadata, {ScheduleBlock.ADDRESS: {"value": "s3://exports/"}}),
        Right.START,
    ),
    ScheduleAction.PAUSE: Case(_button(ScheduleAction.PAUSE, _schedule), Right.START),
    ScheduleAction.RESUME: Case(_button(ScheduleAction.RESUME, _schedule), Right.START),
    ScheduleAction.REMOVE: Case(_button(ScheduleAction.REMOVE, _schedule), Right.START),
    ScheduleAction.RUN_NOW: Case(_button(ScheduleAction.RUN_NOW, _schedule), Right.START),
    HomeAction.REFRESH: Case(_button(HomeAction.REFRESH), Right.LOOK, names_id=False),
    HomeAction.HISTORY: Case(_button(HomeAction.HISTORY, _mapping), Right.LOOK),
    HomeAction.SEARCH: Case(_at_home(HomeAction.SEARCH), Right.LOOK, names_id=False),
    HomeAction.SHOW_ALL: Case(_at_home(HomeAction.SHOW_ALL), Right.LOOK, names_id=False),
    HomeAction.PREVIOUS_PAGE: Case(_at_home(HomeAction.PREVIOUS_PAGE, "0"), Right.LOOK, names_id=False),
    HomeAction.NEXT_PAGE: Case(_at_home(HomeAction.NEXT_PAGE, "1"), Right.LOOK, names_id=False),
    "app_home_opened": Case(_event("app_home_opened", tab="home", channel="D1"), Right.LOOK, names_id=False),
    "app_uninstalled": Case(_event("app_uninstalled"), Right.NO_PERSON, names_id=False),
    "team_access_revoked": Case(_event("team_access_revoked", team_ids=[]), Right.NO_PERSON, names_id=False),
    "tokens_revoked": Case(_event("tokens_revoked", tokens={"bot": ["U1"]}), Right.NO_PERSON, names_id=False),
}

#: What follows each subcommand, and what it needs.
SUBCOMMAND_CASES: Mapping[str, Case] = {
    "": Case(_command(lambda _: ""), Right.START, names_id=False),
    "connect": Case(_command(lambda _: "connect"), Right.ADMINISTER, names_id=False),
    "map": Case(_command(lambda _: "map"), Right.START, names_id=False),
    "run": Case(_command(lambda t: f"run {t.audience}"), Right.START, names_id=False),
    "schedule": Case(_command(lambda t: f"schedule {t.audience}"), Right.START, names_id=False),
    "schedules": Case(_command(lambda _: "schedules"), Right.LOOK, names_id=False),
    "sync-all": Case(_command(lambda _: "sync-all"), Right.START, names_id=False),
    "status": Case(_command(lambda _: "status"), Right.LOOK, names_id=False),
    "history": Case(_command(lambda _: "history"), Right.LOOK, names_id=False),
    "cancel": Case(_command(lambda t: f"cancel {t.run_id}"), Right.START),
    "why": Case(_command(lambda _: "why ada@example.com"), Right.ADDRESSES, names_id=False),
    "undo": Case(_command(lambda t: f"undo {t.run_id}"), Right.START),
    "pause": Case(_command(lambda t: f"pause {t.audience}"), Right.START, names_id=False),
    "resume": Case(_command(lambda t: f"resume {t.audience}"), Right.START, names_id=False),
    "freeze": Case(_command(lambda t: f"freeze {t.audience} until 2h"), Right.START, names_id=False),
    "unfreeze": Case(_command(lambda t: f"unfreeze {t.audience}"), Right.START, names_id=False),
    "fields": Case(_command(lambda t: f"fields {t.audience}"), Right.START, names_id=False),
    "edit": Case(_command(lambda t: f"edit {t.audience}"), Right.START, names_id=False),
    # no mapping is archived, which anyone may read; the button is refused
    "restore": Case(_command(lambda t: f"restore {t.audience}"), Right.LOOK, names_id=False),
    "help": Case(_command(lambda _: "help"), Right.LOOK, names_id=False),
}
