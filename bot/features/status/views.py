"""The messages of `status` and `history`."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from slack_sdk.models.blocks import Block

from bot.features.ids import RunAction
from bot.features.status import phrases, sections
from bot.features.status.sections import StatusSection
from bot.features.status.workspace_status import MappingStatusRow, Viewer, WorkspaceStatus
from bot.ui.blocks import (
    MOST_BLOCKS_OF_A_MESSAGE,
    Message,
    button,
    divider,
    header,
    modal,
    section,
    text_message,
)
from bot.ui.charts import TITLE_MAX, Chart, ChartBlock, Series
from bot.ui.formatting import cut, escape, moment, person, plural, run_words
from core.connections.permissions import may_start
from core.models.run import Run, RunStatus
from core.runs.rejected_members import REJECTED_SCHEME
from core.store.mappings import MappingStatus

# The most blocks of each section; the mappings get the rest.
_ROOM = 11


def status_message(overview: WorkspaceStatus, viewer: Viewer) -> Message:
    """Return the status of the workspace."""
    if not overview.connections:
        text = "No Iterable project is connected yet. An admin connects one with `/iterable-sync connect`."
        return text_message(text)
    parts = [
        sections.alerts(overview, viewer),
        sections.waiting(overview, viewer),
        sections.under_way(overview, viewer),
    ]
    blocks: list[Block] = [section(f"*{_sum(overview)}*")]
    for part in parts:
        blocks += part.blocks(_ROOM)
    mappings = StatusSection(
        "Mappings",
        [
            sections.StatusItem(phrases.mapping_lines(each), sections.of_paused(each, viewer))
            for each in overview.mapped
        ],
    )
    blocks += mappings.blocks(MOST_BLOCKS_OF_A_MESSAGE - len(blocks))
    if not overview.mapped:
        blocks.append(section("No mappings yet. Use `/iterable-sync map` to create one."))
    return Message(_sum(overview), blocks)


@dataclass(frozen=True, slots=True)
class HistoryItem:
    """A run in the history. `is_last`: it is the newest of its mapping. `link` is the address of its message."""

    run: Run
    mapped: MappingStatusRow
    is_last: bool
    link: str | None = None


def history_message(
    past: Sequence[HistoryItem], title: str | None, person_id: str, row: MappingStatusRow | None = None
) -> Message:
    """Return the latest runs, of one mapping (`title`, and `row` with its trends) or of all."""
    scope = f" of {escape(title)}" if title else ""
    if not past:
        text = f"No syncs{scope} yet. Start one with `/iterable-sync`."
        return text_message(text)
    blocks: list[Block] = [
        header((f"Latest {len(past)} syncs" if len(past) > 1 else "Latest sync") + (f" of {title}" if title else ""))
    ]
    if row is not None and (line := phrases.trend_lines(row)):
        blocks += [section(line), *_chart(row)]
    blocks += [_past(each, person_id, is_named=row is None) for each in past]
    last = past[0]
    outcome = f"{phrases.status_words(last.run)}, {phrases.counts_line(last.run)}"
    text = f"{plural(len(past), 'sync', 'syncs')}{scope}. Latest: {outcome}."
    return Message(text, blocks)


def history_modal(past: Sequence[HistoryItem], row: MappingStatusRow) -> dict[str, Any]:
    """Return the modal with the latest runs of a mapping. It has no buttons: their answers would be behind it."""
    head = "\n".join(filter(None, [phrases.linked_line(row), phrases.trend_lines(row)]))
    runs: list[Block] = [section(_past_lines(each, is_named=False)) for each in past]
    return modal("History", [section(head), divider(), *(runs or [section("No syncs yet.")])])


def _chart(row: MappingStatusRow) -> list[Block]:
    """Return the chart of the list's size, if there are two sizes to compare."""
    points = row.sizes.points if row.sizes is not None else ()
    if len(points) < 2:
        return []
    days = [f"{time.strftime('%b', day)} {day.tm_mday}" for day in (time.gmtime(at) for at, _ in points)]
    series = Series("People", [size for _, size in points])
    return [ChartBlock(Chart(cut(f"Size of {row.list_name}", TITLE_MAX), "line", days, [series]))]


def _past_lines(each: HistoryItem, *, is_named: bool) -> str:
    """Return a run: its outcome, numbers, time and starter. `is_named`: with the names of audience and list."""
    run = each.run
    by = "mParticle" if run.request.live else person(run.started_by)
    words = f"Undo of run `{run.undo_of}`: {phrases.status_words(run)}" if run.undo_of else phrases.status_words(run)
    head = f"{phrases.target_line(each.mapped)} · {words}" if is_named else f"*{words}*"
    text = f"{head}\n{phrases.counts_line(run)}\n{moment(run.created_at)}, by {by}, {run_words(run.id, each.link)}"
    return f"{text}\n{escape(run.error)}" if run.status is RunStatus.FAILED and run.error else text


def _past(each: HistoryItem, person_id: str, *, is_named: bool) -> Block:
    run, text = each.run, _past_lines(each, is_named=is_named)
    if not may_start(each.mapped.connection, person_id):
        return section(text)
    name = each.mapped.mapping.label
    if run.status in (RunStatus.FAILED, RunStatus.INTERRUPTED) and each.is_last and not run.request.live:
        return section(text, accessory=button("Retry now", RunAction.RETRY, run.id, label=f"Retry now: {name}"))
    if _can_be_repeated(run, each.mapped):
        label = f"Run again: {name}"
        return section(text, accessory=button("Run again", RunAction.AGAIN, run.id, label=label))
    return section(text)


def _can_be_repeated(run: Run, mapped: MappingStatusRow) -> bool:
    """Return whether the run has a source that can be read again, and a mapping that may be synced."""
    ended = run.status in (
        RunStatus.SUCCEEDED,
        RunStatus.FAILED,
        RunStatus.CANCELLED,
        RunStatus.PLANNED,
        RunStatus.EXPIRED,
    )
    of_an_audience = (
        not run.request.live and run.undo_of is None and not run.request.path.startswith(f"{REJECTED_SCHEME}:")
    )
    return ended and of_an_audience and mapped.mapping.status in (MappingStatus.ACTIVE, MappingStatus.PROPOSED)


def _sum(overview: WorkspaceStatus) -> str:
    """Return the numbers of what needs attention, without zeros."""
    waiting, running, alerts = (
        len(overview.waiting) + len(overview.unapproved) + len(overview.undecided),
        len(overview.under_way),
        overview.alerts,
    )
    needs = [
        f"{plural(len(alerts), 'open alert')}" if alerts else "",
        f"{plural(waiting, 'approval')} waiting" if waiting else "",
        f"{plural(running, 'sync', 'syncs')} in progress" if running else "",
    ]
    words = plural(len(overview.mapped), "mapping")
    busy = ", ".join(filter(None, needs))
    return f"{busy}, {words}." if busy else f"All clear - {words}, nothing waiting."
