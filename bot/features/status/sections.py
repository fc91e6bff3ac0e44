"""The sections of `status` and of the home page, with the buttons that a person may use. Pure functions."""

from collections.abc import Sequence
from dataclasses import dataclass

from slack_sdk.models.blocks import Block, ButtonElement, OverflowMenuElement

from bot.features.ids import (
    AlertAction,
    ApprovalAction,
    ConnectAction,
    MappingAction,
    RunAction,
    plan_value,
)
from bot.features.live_audiences import buttons
from bot.features.status import phrases
from bot.features.status.workspace_status import MappingStatusRow, RunInProgress, Viewer, WorkspaceStatus
from bot.ui.blocks import actions, button, confirmation, context, header, section
from bot.ui.formatting import plural
from core.connections.permissions import has_stand_ins, may_start, why_not_approve
from core.iterable import InvalidApiKeyError
from core.models.run import RunStatus
from core.store.alerts import Alert
from core.store.connections import Connection
from core.store.mappings import MappingStatus


@dataclass(frozen=True, slots=True)
class StatusItem:
    """An item of a section: lines (mrkdwn), and buttons and menus."""

    text: str
    buttons: tuple[ButtonElement | OverflowMenuElement, ...] = ()

    @property
    def blocks(self) -> list[Block]:
        """The blocks of the item. A single button or menu is next to the text, several are below it."""
        if len(self.buttons) == 1:
            return [section(self.text, accessory=self.buttons[0])]
        return [section(self.text), *([actions(*self.buttons)] if self.buttons else [])]


@dataclass(frozen=True, slots=True)
class StatusSection:
    """Items of one kind under a heading."""

    title: str
    items: Sequence[StatusItem]

    def blocks(self, room: int) -> list[Block]:
        """Return at most `room` blocks. The last one counts items that are left out. Empty without items."""
        if not self.items:
            return []
        shown: list[Block] = [header(self.title)]
        for number, item in enumerate(self.items):
            left = len(self.items) - number
            needed = len(item.blocks) + (1 if left > 1 else 0)  # room for the count
            if len(shown) + needed > room:
                return [*shown, context(f"{left} more not shown.")]
            shown += item.blocks
        return shown


def alerts(overview: WorkspaceStatus, viewer: Viewer) -> StatusSection:
    """Return the open alerts."""
    items = [_alert(overview, each, viewer) for each in overview.alerts]
    return StatusSection(f"{plural(len(items), 'open alert')}", items)


def waiting(overview: WorkspaceStatus, viewer: Viewer) -> StatusSection:
    """Return the runs and mappings that wait for approval."""
    items = [_waiting(each, viewer) for each in overview.waiting]
    items += [_unapproved(each, viewer) for each in overview.unapproved]
    items += [_undecided(each, viewer) for each in overview.undecided]
    return StatusSection(f"{plural(len(items), 'approval')} waiting", items)


def under_way(overview: WorkspaceStatus, viewer: Viewer) -> StatusSection:
    """Return the runs in progress."""
    items = [_under_way(each, viewer) for each in overview.under_way]
    return StatusSection(f"{plural(len(items), 'sync', 'syncs')} in progress", items)


def _alert(overview: WorkspaceStatus, alert: Alert, viewer: Viewer) -> StatusItem:
    mapped = overview.by_mapping.get(alert.mapping_id or 0)
    connection = next(each for each in overview.connections if each.id == alert.connection_id)
    connection = connection if mapped is None else mapped.connection
    about = phrases.target_line(mapped) if mapped else phrases.named(connection)
    offered: list[ButtonElement] = []
    if alert.code == InvalidApiKeyError.code:
        if viewer.is_admin:
            offered.append(replace_key(connection))
    elif alert.run_id is not None and may_start(connection, viewer.person) and not (mapped and mapped.mapping.is_live):
        # Changes of live audiences are retried without a click.
        offered.append(button("Retry now", RunAction.RETRY, alert.run_id, label=f"Retry now: run {alert.run_id}"))
    if alert.acknowledged_by is None and may_start(connection, viewer.person):
        offered.append(button("I'm on it", AlertAction.TAKE, str(alert.id), label=f"I'm on it: {connection.name}"))
    return StatusItem(phrases.alert_lines(alert, about), tuple(offered))


def _waiting(each: RunInProgress, viewer: Viewer) -> StatusItem:
    connection, mapping = each.mapped.connection, each.mapped.mapping
    proposed_by = mapping.proposed_by if mapping.status is MappingStatus.PROPOSED else None
    if why_not_approve(connection, viewer.person, each.run.asked_by, proposed_by=proposed_by) is not None:
        return StatusItem(f"{phrases.waiting_lines(each)}\n{phrases.approvers_line(each.mapped)}")
    label = f"Review the sync of {each.mapped.mapping.label}"
    review = button(
        "Review", ApprovalAction.REVIEW, plan_value(each.run.id, each.run.plan_digest), style="primary", label=label
    )
    return StatusItem(phrases.waiting_lines(each), (review,))


def _unapproved(mapped: MappingStatusRow, viewer: Viewer) -> StatusItem:
    asked_by = mapped.mapping.proposed_by
    if why_not_approve(mapped.connection, viewer.person, asked_by, is_admin=viewer.is_admin) is not None:
        return StatusItem(f"{phrases.unapproved_lines(mapped)}\n{phrases.approvers_line(mapped)}")
    label = f"Review the mapping of {mapped.mapping.label}"
    review = button("Review", MappingAction.REVIEW, str(mapped.mapping.id), style="primary", label=label)
    text = phrases.unapproved_lines(mapped)
    if has_stand_ins(mapped.connection):  # admins decide, and read how to name approvers
        text += f"\n{phrases.approvers_line(mapped)}"
    if mapped.live is not None and mapped.live.waiting:
        return StatusItem(text, (review, buttons.drop(mapped.mapping)))
    return StatusItem(text, (review,))


def of_paused(mapped: MappingStatusRow, viewer: Viewer) -> tuple[ButtonElement, ...]:
    """Return the buttons about changes that wait because their mapping is paused."""
    return () if mapped.needs_decision else decisions(mapped, viewer)


def _undecided(mapped: MappingStatusRow, viewer: Viewer) -> StatusItem:
    text, offered = phrases.undecided_lines(mapped), decisions(mapped, viewer)
    return StatusItem(text if offered else f"{text}\n{phrases.approvers_line(mapped)}", offered)


def decisions(mapped: MappingStatusRow, viewer: Viewer) -> tuple[ButtonElement, ...]:
    """Return the buttons for decisions about an approved live mapping, for those who may decide."""
    mapping, status = mapped.mapping, mapped.live
    if status is None or mapping.status not in (MappingStatus.ACTIVE, MappingStatus.PAUSED):
        return ()
    if why_not_approve(mapped.connection, viewer.person, None, is_admin=viewer.is_admin) is not None:
        return ()
    offered: list[ButtonElement] = []
    if mapping.status is MappingStatus.ACTIVE and status.waiting:
        offered.append(buttons.approve_removals(mapping, status.waiting))
    if mapping.status is MappingStatus.PAUSED and mapping.disconnected_at is not None:
        offered += [buttons.keep(mapping), buttons.remove(mapping)]
    if mapping.status is MappingStatus.PAUSED and status.waiting:
        offered.append(buttons.drop(mapping))
    return tuple(offered)


def _under_way(each: RunInProgress, viewer: Viewer) -> StatusItem:
    if not may_start(each.mapped.connection, viewer.person):
        return StatusItem(phrases.progress_lines(each))
    name = each.mapped.mapping.label
    question = confirmation("Cancel this sync?", "Changes already made stay.", "Cancel sync", "Keep syncing")
    offered = [button("Cancel", RunAction.CANCEL, each.run.id, confirm=question, label=f"Cancel the sync of {name}")]
    if each.run.status is RunStatus.INTERRUPTED and not each.run.request.live:
        offered.insert(0, button("Retry now", RunAction.RETRY, each.run.id, label=f"Retry now: {name}"))
    return StatusItem(phrases.progress_lines(each), tuple(offered))


def replace_key(connection: Connection) -> ButtonElement:
    """Return the button that replaces a connection's API key."""
    style = "primary" if connection.key_rejected_at is not None else None
    label = f"Replace the key of {connection.name}"
    return button("Replace key", ConnectAction.KEY, str(connection.id), style=style, label=label)
