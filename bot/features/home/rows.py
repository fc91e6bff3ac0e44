"""The mappings and connections of the Home page, with the buttons and menus that a person may use. Pure functions."""

from collections.abc import Sequence

from slack_sdk.models.blocks import ButtonElement, OverflowMenuElement

from bot.features.ids import (
    AlertAction,
    ConnectAction,
    FreezeAction,
    HomeAction,
    MappingAction,
    ReportAction,
    RouteAction,
    RunAction,
    ScheduleAction,
)
from bot.features.status import phrases, sections
from bot.features.status.sections import StatusItem, StatusSection
from bot.features.status.workspace_status import MappingStatusRow, Viewer, WorkspaceStatus
from bot.ui.blocks import button, menu
from core.connections.permissions import may_start
from core.store.connections import Connection
from core.store.mappings import NO_LIST, MappingStatus

#: A choice of a menu: its text, and the action id and value of the button that it stands for.
Choice = tuple[str, str, object]


def connections(overview: WorkspaceStatus, viewer: Viewer) -> StatusSection:
    """Return the connections."""
    return StatusSection("Connections", [_connection(overview, each, viewer) for each in overview.connections])


def mappings(rows: Sequence[MappingStatusRow], viewer: Viewer, title: str) -> StatusSection:
    """Return mappings, with the sizes of their lists and their newest runs."""
    return StatusSection(title, [_mapping(row, viewer) for row in rows])


def _connection(overview: WorkspaceStatus, connection: Connection, viewer: Viewer) -> StatusItem:
    open_alerts = sum(each.connection_id == connection.id for each in overview.alerts)
    text = phrases.connection_line(connection, overview.accounts.get(connection.id), open_alerts)
    if not viewer.is_admin:
        return StatusItem(text)
    more: list[Choice] = [
        ("Edit", ConnectAction.EDIT, connection.id),
        ("mParticle audiences", ConnectAction.MPARTICLE, connection.id),
        ("Reports", ReportAction.OPEN, connection.id),
        ("Alert routes", RouteAction.OPEN, connection.id),
    ]
    if connection.key_rejected_at is not None:
        return StatusItem(text, (sections.replace_key(connection), menu(HomeAction.MORE, *more)))
    return StatusItem(text, (menu(HomeAction.MORE, ("Replace key", ConnectAction.KEY, connection.id), *more),))


def _mapping(row: MappingStatusRow, viewer: Viewer) -> StatusItem:
    mapping = row.mapping
    offered: list[ButtonElement | OverflowMenuElement] = [*sections.of_paused(row, viewer)]
    may_sync = may_start(row.connection, viewer.person)
    if may_sync and _can_sync(row):
        offered.append(button("Sync now", RunAction.START, str(mapping.id), label=f"Sync now: {mapping.label}"))
    if mapping.list_id != NO_LIST:
        offered.append(button("History", HomeAction.HISTORY, str(mapping.id), label=f"History of {mapping.label}"))
    rules: list[Choice] = [("Alert rules", AlertAction.RULES, mapping.id)] if viewer.is_admin else []
    if choices := [*(_managing(row) if may_sync else ()), *rules]:
        offered.append(menu(HomeAction.MORE, *choices))
    return StatusItem(phrases.mapping_lines(row), tuple(offered))


def _can_sync(row: MappingStatusRow) -> bool:
    """Return whether a person can sync a mapping from a file."""
    is_open = row.mapping.status in (MappingStatus.ACTIVE, MappingStatus.PROPOSED)
    return is_open and not row.mapping.is_live and row.mapping.list_id != NO_LIST


def _managing(row: MappingStatusRow) -> list[Choice]:
    mapping, choices = row.mapping, list[Choice]()
    if mapping.status is MappingStatus.ACTIVE:
        choices.append(("Pause", MappingAction.PAUSE, mapping.id))
    if mapping.status is MappingStatus.PAUSED and mapping.disconnected_at is None:
        choices.append(("Resume", MappingAction.RESUME, mapping.id))
    if _can_sync(row):
        choices.append(("Schedule", ScheduleAction.OPEN, mapping.id))
    if mapping.status is MappingStatus.ACTIVE and mapping.list_id != NO_LIST:
        choices.append(_freeze(row))
    return [*choices, ("Edit", MappingAction.EDIT, mapping.id)]


def _freeze(row: MappingStatusRow) -> Choice:
    freeze = row.freeze
    if freeze is None or freeze.by is None:
        return ("Freeze", FreezeAction.OPEN, row.mapping.id)
    return ("Unfreeze all", FreezeAction.UNFREEZE, "") if freeze.of_all else _unfreeze(row)


def _unfreeze(row: MappingStatusRow) -> Choice:
    return ("Unfreeze", FreezeAction.UNFREEZE, row.mapping.id)
