"""Inputs for the operators and approvers of a connection or a mapping: people, and user groups of Slack."""

from collections.abc import Sequence
from dataclasses import dataclass

from slack_sdk.models.blocks import InputBlock, StaticMultiSelectElement, UserMultiSelectElement

from bot.ui.blocks import field_of, option
from bot.ui.formatting import cut
from bot.ui.modal_state import ViewInputs
from core.models.people import is_user_group, people_only

# So many people, with the other settings, fit into a modal's private_metadata.
MOST_PEOPLE = 50
# So many groups fit there as well. Slack's menus have up to 100 options.
MOST_GROUPS, _MOST_OPTIONS = 10, 100


@dataclass(frozen=True, slots=True)
class GroupChoice:
    """A user group that can be chosen: its id, and its handle without @."""

    id: str
    handle: str


def people_inputs(
    label: str,
    block: str,
    group_block: str,
    chosen: Sequence[str],
    groups: Sequence[GroupChoice],
    *,
    hint: str,
    optional: bool,
) -> list[InputBlock]:
    """Return the input for people, and the one for user groups if Slack has said which there are.

    `chosen` are ids of people and groups.
    """
    users = UserMultiSelectElement(
        action_id=block, initial_users=people_only(chosen) or None, max_selected_items=MOST_PEOPLE
    )
    may_be_empty = optional or bool(groups) or any(map(is_user_group, chosen))
    people = field_of(label, block, users, hint=hint, optional=may_be_empty)
    if not groups:
        return [people]
    first = sorted(groups, key=lambda each: (each.id not in chosen, each.handle))[:_MOST_OPTIONS]
    options = {each.id: option(cut(f"@{each.handle}", 75), each.id) for each in first}
    menu = StaticMultiSelectElement(
        action_id=group_block,
        options=list(options.values()),
        initial_options=[options[each] for each in chosen if each in options] or None,
        placeholder="None",
        max_selected_items=MOST_GROUPS,
    )
    return [people, field_of(f"{label}: user groups", group_block, menu, optional=True)]


def read_people(inputs: ViewInputs, block: str, group_block: str, before: Sequence[str]) -> tuple[str, ...]:
    """Return the ids of the chosen people and groups. If the form has no input for people or for groups, those of
    `before` stay."""
    kept = [each for each in before if is_user_group(each)]
    groups = inputs.choices(group_block) if inputs.has(group_block) else kept
    chosen = inputs.person_ids(block) if inputs.has(block) else people_only(before)
    return tuple(dict.fromkeys([*chosen, *groups]))
