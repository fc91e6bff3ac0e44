"""The buttons of live audiences, for messages, the home page and `status`. Each asks for confirmation."""

from slack_sdk.models.blocks import ButtonElement

from bot.features.ids import LiveAudienceAction
from bot.ui.blocks import button, confirmation
from bot.ui.formatting import cut, escape, plural
from core.store.mappings import AudienceMapping

_NAME_MAX = 60


def drop(mapping: AudienceMapping) -> ButtonElement:
    """Return the button that discards pending changes."""
    ask = confirmation(
        "Discard pending changes?",
        f"The pending changes of {_name(mapping)} are deleted and never reach Iterable. mParticle does not send them "
        "again.",
        "Discard",
        "Keep waiting",
    )
    label = f"Discard pending changes of {mapping.label}"
    return button(
        "Discard pending changes", LiveAudienceAction.DROP, str(mapping.id), style="danger", confirm=ask, label=label
    )


def approve_removals(mapping: AudienceMapping, number: int) -> ButtonElement:
    """Return the button that approves removals. `number` is how many."""
    ask = confirmation(
        "Remove them from the list?",
        f"{plural(number, 'person has', 'people have')} left {_name(mapping)}, and will be removed from the list in "
        "Iterable.",
        "Approve removals",
        "Not now",
    )
    label = f"Approve the removals of {mapping.label}"
    return button(
        "Approve removals", LiveAudienceAction.REMOVALS, str(mapping.id), style="primary", confirm=ask, label=label
    )


def keep(mapping: AudienceMapping) -> ButtonElement:
    """Return the button that keeps the members of a disconnected audience on the list."""
    ask = confirmation(
        "Keep these people on the list?",
        f"Nothing changes on the list. {_name(mapping)} stays paused.",
        "Keep them",
        "Decide later",
    )
    label = f"Keep them on the list: {mapping.label}"
    return button("Keep them on the list", LiveAudienceAction.KEEP, str(mapping.id), confirm=ask, label=label)


def remove(mapping: AudienceMapping) -> ButtonElement:
    """Return the button that removes the members of a disconnected audience from the list."""
    ask = confirmation(
        "Remove these people from the list?",
        f"Everyone that {_name(mapping)} added is removed from the list in Iterable. Pending changes are discarded.",
        "Remove them",
        "Decide later",
    )
    label = f"Remove them from the list: {mapping.label}"
    return button(
        "Remove them from the list",
        LiveAudienceAction.REMOVE,
        str(mapping.id),
        style="danger",
        confirm=ask,
        label=label,
    )


def _name(mapping: AudienceMapping) -> str:
    return escape(cut(mapping.label, _NAME_MAX))
