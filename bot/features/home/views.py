"""The home page."""

from typing import Any

from slack_sdk.models.blocks import Block, PlainTextInputElement
from slack_sdk.models.views import View

from bot.features.home import rows
from bot.features.home.page import PAGE_SIZE, SEARCH_MAX_LENGTH, HomePage, MappingPage
from bot.features.ids import ConnectAction, HomeAction, HomeBlock, MappingAction, RunAction, TokenAction
from bot.features.status import sections
from bot.features.status.workspace_status import Viewer, WorkspaceStatus
from bot.ui.blocks import actions, button, context, field_of, header, section
from bot.ui.formatting import escape, plural

# The most blocks that each section may use, so that every section has room.
_ALERTS, _WAITING, _UNDER_WAY, _CONNECTIONS = 13, 13, 13, 16
_MAPPINGS = 2 * PAGE_SIZE + 1


def home_view(overview: WorkspaceStatus, viewer: Viewer, page: HomePage, mappings: MappingPage) -> dict[str, Any]:
    """Return the home page for a person: `mappings` are those of the page that they look at."""
    blocks = _blocks(overview, viewer, page, mappings) if overview.connections else _welcome(viewer)
    content: dict[str, Any] = View(type="home", blocks=blocks, private_metadata=page.dump()).to_dict()
    return content


def _welcome(viewer: Viewer) -> list[Block]:
    introduction = (
        "Iterable Sync keeps Iterable lists equal to mParticle audiences, and shows what changes before it does."
    )
    if viewer.is_admin:
        next_step = "Start by connecting an Iterable project: its API key, the approvers, and an alert channel."
        buttons = [button("Connect a project", ConnectAction.OPEN, style="primary"), _refresh()]
    else:
        next_step = (
            "Nothing is connected yet. Ask an admin or owner of this workspace to type `/iterable-sync connect`."
        )
        buttons = [_refresh()]
    return [header("Welcome to Iterable Sync"), section(introduction), section(next_step), actions(*buttons)]


def _blocks(overview: WorkspaceStatus, viewer: Viewer, page: HomePage, mappings: MappingPage) -> list[Block]:
    blocks: list[Block] = [header("Iterable Sync"), actions(*_buttons(overview, viewer))]
    blocks += sections.alerts(overview, viewer).blocks(_ALERTS)
    blocks += sections.waiting(overview, viewer).blocks(_WAITING)
    blocks += sections.under_way(overview, viewer).blocks(_UNDER_WAY)
    if overview.mapped:
        blocks += _mappings(overview, viewer, page, mappings)
    else:
        blocks.append(section("*No mappings yet.* Map an audience to a list. It starts once an approver signs off."))
    return [*blocks, *rows.connections(overview, viewer).blocks(_CONNECTIONS)]


def _mappings(overview: WorkspaceStatus, viewer: Viewer, page: HomePage, mappings: MappingPage) -> list[Block]:
    title = plural(len(overview.mapped), "mapping")
    if len(overview.mapped) <= PAGE_SIZE:
        return rows.mappings(mappings.rows, viewer, title).blocks(_MAPPINGS)
    shown = rows.mappings(mappings.rows, viewer, title).blocks(_MAPPINGS)[1:]
    return [header(title), _search(page), *shown, *_pages(page, mappings)]


def _search(page: HomePage) -> Block:
    element = PlainTextInputElement(
        action_id=HomeAction.SEARCH,
        max_length=SEARCH_MAX_LENGTH,
        initial_value=page.search or None,
        placeholder="Audience, list or connection",
    )
    block_id = f"{HomeBlock.SEARCH}-{page.search}"
    return field_of("Find a mapping", block_id, element, hint="Press Enter.", optional=True, dispatch=True)


def _pages(page: HomePage, mappings: MappingPage) -> list[Block]:
    """Return what a page of the mappings shows, and the buttons to others."""
    last = mappings.first + len(mappings.rows)
    matching = f" that match “{escape(page.search)}”" if page.search else ""
    range_words = f"{mappings.first + 1}-{last}" if len(mappings.rows) > 1 else f"{last}"
    words = f"{range_words} of {plural(mappings.count, 'mapping')}{matching}"
    buttons = []
    number = mappings.first // PAGE_SIZE
    if number > 0:
        buttons.append(button("Previous", HomeAction.PREVIOUS_PAGE, str(number - 1), label="Previous mappings"))
    if last < mappings.count:
        buttons.append(button("Next", HomeAction.NEXT_PAGE, str(number + 1), label="Next mappings"))
    if page.search:
        buttons.append(button("Show all", HomeAction.SHOW_ALL, label="Show all mappings"))
    text = words if mappings.rows else f"No mapping matches “{escape(page.search)}”."
    return [context(text), *([actions(*buttons)] if buttons else [])]


def _buttons(overview: WorkspaceStatus, viewer: Viewer) -> list[Any]:
    buttons = []
    if overview.may_start_any(viewer.person):
        if overview.mapped:
            buttons.append(button("Start a sync", RunAction.START, style="primary"))
        buttons.append(button("Map an audience", MappingAction.OPEN))
    if viewer.is_admin:
        buttons += [button("Connect a project", ConnectAction.OPEN), button("API tokens", TokenAction.OPEN)]
    return [*buttons, _refresh()]


def _refresh() -> Any:
    return button("Refresh", HomeAction.REFRESH)
