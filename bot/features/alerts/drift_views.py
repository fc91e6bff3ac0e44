"""The alert that a list differs from what was synced: three sizes, who differs, since when, and what to do."""

from slack_sdk.models.blocks import Block, ButtonElement

from bot.features.ids import DriftAction, repair_value
from bot.ui.blocks import button, confirmation, fields, section
from bot.ui.formatting import moment, number, plural
from core.models.run import Repair
from core.store.list_checks import ListCheck


def drift_blocks(check: ListCheck | None, heading: str, why: str) -> list[Block]:
    """Return the report of a check. `heading` and `why` are mrkdwn."""
    blocks: list[Block] = [section(f"*{heading}*\n{why}")]
    if check is None:
        return blocks
    pairs = [("Synced by us", _count(check.ours)), ("On the list in Iterable", _count(check.in_iterable))]
    if check.in_mparticle is not None:
        pairs.append(("In the audience in mParticle", number(check.in_mparticle)))
    since = "This is the first check." if check.matched_at is None else f"It matched last {moment(check.matched_at)}."
    text = f"{since} Iterable does not say who changed it: another integration, a CSV import or a person may have."
    return [*blocks, *fields(pairs), section(text)]


def drift_buttons(check: ListCheck | None, mapping_id: int) -> list[ButtonElement]:
    """Return what a person can do about the differences."""
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


def _count(value: int | None) -> str:
    return "not read" if value is None else number(value)
