"""The alert that a list differs from what was synced: three sizes, who differs, since when, and what to do."""

from slack_sdk.models.blocks import Block, ButtonElement

from bot.features.ids import DriftAction, repair_value
from bot.ui.blocks import button, confirmation, fields, section
from bot.ui.formatting import NO_CHANGES, changes, moment, number, person, plural
from core.models.run import Repair, Run, RunStatus
from core.runs.drift import NONE_OF_OURS, REST, OwnChanges
from core.store.list_checks import ListCheck


def drift_blocks(check: ListCheck | None, own: OwnChanges, heading: str, why: str) -> list[Block]:
    """Return the report of a check. `own` is what this program has changed; `heading` and `why` are mrkdwn."""
    blocks: list[Block] = [section(f"{heading}\n{why}")]
    if check is None:
        return blocks
    pairs = [("Synced by us", _count(check.ours)), ("On the list in Iterable", _count(check.in_iterable))]
    if check.in_mparticle is not None:
        pairs.append(("In the audience in mParticle", number(check.in_mparticle)))
    return [*blocks, *fields(pairs), section(_since(check, own))]


def _since(check: ListCheck, own: OwnChanges) -> str:
    """Return since when the list differs, and who changed it, as far as that is known (mrkdwn)."""
    if _is_alike(check):
        return "The list itself is as it was synced."
    if check.matched_at is None:
        return f"This is the first check. {REST}"
    since = f"Last matched {moment(check.matched_at)}."
    if not own.runs:
        return f"{since} {NONE_OF_OURS}"
    lines = [f"• {_change(run)}" for run in own.runs]
    if own.more:
        lines.append(f"• {plural(own.more, 'more sync')}")
    return "\n".join([f"{since} Syncs from here that have changed it since:", *lines, REST])


def _change(run: Run) -> str:
    """Return what a run has changed, when, and who started it (mrkdwn)."""
    kind = f"undo of `{run.undo_of}`" if run.undo_of else "repair" if run.request.repairs else "sync"
    counts = run.counters
    numbers = changes(added=counts.added, updated=counts.updated, removed=counts.removed) or NO_CHANGES
    by = "from mParticle" if run.request.live else f"by {person(run.started_by)}"
    end = moment(run.finished_at) if run.finished_at is not None else "not finished"
    stopped = f" ({run.status})" if run.status is not RunStatus.SUCCEEDED else ""
    return f"`{run.id}`, {kind} {by}, {end}{stopped}: {numbers}."


def drift_buttons(check: ListCheck | None, mapping_id: int) -> list[ButtonElement]:
    """Return what a person can do about the differences; nothing if the list itself does not differ."""
    if check is not None and _is_alike(check):
        return []
    missing = (check.missing if check else None) or 0
    extra = (check.extra if check else None) or 0
    offered: list[ButtonElement] = []
    if extra:
        question = confirmation(
            "Prepare a repair?",
            f"It adds {plural(missing, 'person', 'people')} again and removes {plural(extra, 'person', 'people')} who "
            "were not synced to the list. You see who, and an approver decides, before anything is sent.",
            "Prepare it",
            "Cancel",
        )
        offered.append(
            button(
                "Repair", DriftAction.REPAIR, repair_value(mapping_id, Repair.BOTH), style="primary", confirm=question
            )
        )
    if missing or not extra:
        text = f"Only add {number(missing)} missing" if extra else "Repair"
        offered.append(
            button(
                text,
                DriftAction.ADD_MISSING,
                repair_value(mapping_id, Repair.MISSING),
                style=None if extra else "primary",
            )
        )
    offered.append(button("Who differs", DriftAction.PEOPLE, str(mapping_id), label="Who differs, as a file to you"))
    if extra:
        label = f"Keep {plural(extra, 'person', 'people')} on the list"
        offered.append(button(f"Keep the {number(extra)} extra", DriftAction.KEEP, str(mapping_id), label=label))
    return offered


def _is_alike(check: ListCheck) -> bool:
    """Return whether the list was as it was synced when it was checked: then only mParticle's size differs."""
    return check.matched_at is not None and check.matched_at == check.checked_at


def _count(value: int | None) -> str:
    return "not read" if value is None else number(value)
