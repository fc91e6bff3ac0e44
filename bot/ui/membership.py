"""Sentences about whether a person is on a list, for Slack and for the terminal. Pure functions."""

from collections.abc import Sequence

from core.reporting.member_lookup import IterableAnswer, MemberFinding

_LOST = "Perhaps on the list (Iterable's answer was lost; the next sync settles it), as {identity}."


def state_of(finding: MemberFinding, identity: str) -> str:
    """Return whether the person is on the list of a mapping: by the ledger, and by what Iterable says now.

    `identity` is the one in the ledger, as text.
    """
    if finding.identity is None:
        if finding.is_on_list:
            return "On the list in Iterable, but not through a sync from here: another tool or a person added them."
        addition = ", and Iterable says the same" if finding.is_on_list is False else ", according to the syncs here"
        return f"Not on the list{addition}."
    if finding.is_on_list is None:
        return f"On the list, as {identity}." if finding.certain else _LOST.format(identity=identity)
    if finding.is_on_list:
        return f"On the list, as {identity}. Iterable confirms it."
    if not finding.certain:
        return f"Not on the list in Iterable. A sync sent them as {identity}, and the next one settles it."
    return (
        f"Synced to the list as {identity}, but Iterable says that they are not on it: another tool or a person "
        "removed them, or they were added only minutes ago."
    )


def what_iterable_says(answers: Sequence[IterableAnswer]) -> str:
    """Return what Iterable says apart from the mappings: who it doesn't know, other lists, and failed requests."""
    sentences = []
    for answer in answers:
        label = answer.connection.label
        if answer.is_forgotten:
            sentences.append(f"Forgotten in Iterable ({label}): Iterable erased them and adds them to no list.")
        elif answer.is_perhaps_forgotten:
            sentences.append(
                f"Probably forgotten in Iterable ({label}): it has forgotten this user id, in upper or lower case."
            )
        if answer.fault is not None:
            sentences.append(f"Iterable could not be asked for {label}: {answer.fault}")
        elif not answer.is_known and not answer.is_forgotten:
            sentences.append(f"Iterable knows no one under this in {label}.")
        elif answer.other_lists:
            named = ", ".join(map(str, answer.other_lists))
            sentences.append(f"In {label} they are also on lists that nothing is synced to: {named}.")
    return " ".join(sentences)
