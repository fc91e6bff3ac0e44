"""The home page."""

from typing import Any

from slack_sdk.models.blocks import Block
from slack_sdk.models.views import View

from bot.features.ids import ConnectAction, HomeAction, MappingAction, RunAction
from bot.features.status import sections
from bot.features.status.workspace_status import Viewer, WorkspaceStatus
from bot.ui.blocks import MOST_BLOCKS_OF_A_VIEW, actions, button, header, section

# The most blocks that each section may use, so that every section has room; the mappings get the rest.
_ALERTS, _WAITING, _UNDER_WAY, _CONNECTIONS = 13, 13, 13, 16


def home_view(overview: WorkspaceStatus, viewer: Viewer) -> dict[str, Any]:
    """Return the home page for a person."""
    blocks = _page(overview, viewer) if overview.connections else _welcome(viewer)
    content: dict[str, Any] = View(type="home", blocks=blocks).to_dict()
    return content


def _welcome(viewer: Viewer) -> list[Block]:
    introduction = (
        "Iterable Sync keeps Iterable lists equal to mParticle audiences, and shows what changes before it does."
    )
    if viewer.is_admin:
        next_step = "Start by connecting an Iterable project: its API key, the approvers, and a channel for alerts."
        buttons = [button("Connect a project", ConnectAction.OPEN, style="primary"), _refresh()]
    else:
        next_step = (
            "Nothing is connected yet. Ask an admin or owner of this workspace to type `/iterable-sync connect`."
        )
        buttons = [_refresh()]
    return [header("Welcome to Iterable Sync"), section(introduction), section(next_step), actions(*buttons)]


def _page(overview: WorkspaceStatus, viewer: Viewer) -> list[Block]:
    blocks: list[Block] = [header("Iterable Sync"), actions(*_buttons(overview, viewer))]
    blocks += sections.alerts(overview, viewer).blocks(_ALERTS)
    blocks += sections.waiting(overview, viewer).blocks(_WAITING)
    blocks += sections.under_way(overview, viewer).blocks(_UNDER_WAY)
    blocks += sections.connections(overview, viewer).blocks(_CONNECTIONS)
    if not overview.mapped:
        blocks.append(section("*No mappings yet.* Map an audience to a list. It starts once an approver signs off."))
        return blocks
    blocks += sections.mappings(overview, viewer).blocks(MOST_BLOCKS_OF_A_VIEW - len(blocks))
    return blocks


def _buttons(overview: WorkspaceStatus, viewer: Viewer) -> list[Any]:
    buttons = []
    if overview.may_start_any(viewer.person):
        if overview.mapped:
            buttons.append(button("Start a sync", RunAction.START, style="primary"))
        buttons.append(button("Map an audience", MappingAction.OPEN))
    if viewer.is_admin:
        buttons.append(button("Connect a project", ConnectAction.OPEN))
    return [*buttons, _refresh()]


def _refresh() -> Any:
    return button("Refresh", HomeAction.REFRESH)
