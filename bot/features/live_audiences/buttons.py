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
        "Drop what waits?",
        f"The changes of {_name(mapping)} that wait are deleted and never reach Iterable. mParticle does not send them "
        "again by itself.",
        "Drop them",
        "Let them wait",
    )
    label = f"Drop the changes that wait for {mapping.label}"
    return button("Drop what waits", LiveAudienceAction.DROP, str(mapping.id), style="danger", confirm=ask, label=label)


def approve_removals(mapping: AudienceMapping, number: int) -> ButtonElement:
    """Return the button that approves removals. `number` is how many."""
    ask = confirmation(
        "Take them off the list?",
        f"{plural(number, 'person has', 'people have')} left {_name(mapping)}, and will be taken off the list in "
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
        "Keep the members on the list?",
        f"Nothing changes on the list. {_name(mapping)} stays paused.",
        "Keep them",
        "Decide later",
    )
    label = f"Keep the members of {mapping.label} on the list"
    return button("Keep them on the list", LiveAudienceAction.KEEP, str(mapping.id), confirm=ask, label=label)


def remove(mapping: AudienceMapping) -> ButtonElement:
    """Return the button that removes the members of a disconnected audience from the list."""
    ask = confirmation(
        "Take the members off the list?",
        f"Everyone that {_name(mapping)} put on the list is removed from it in Iterable. Pending changes are dropped.",
        "Take them off",
        "Decide later",
    )
    label = f"Take the members of {mapping.label} off the list"
    return button("Take them off", LiveAudienceAction.REMOVE, str(mapping.id), style="danger", confirm=ask, label=label)


def _name(mapping: AudienceMapping) -> str:
    return escape(cut(mapping.label, _NAME_MAX))
