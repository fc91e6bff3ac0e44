"""The fast path of a batch has the same results as the slow path, person by person."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.iterable import State
from sandbox.iterable.membership import Batch, remove, upsert
from sandbox.iterable.scripted_outcomes import Failure
from tests.examples import examples

_subscribers = st.lists(
    st.tuples(
        st.sampled_from([None, "a@x.org", "B@x.org", "b@x.org", "c@x.org", "d@x.org", "x@invalid.test"]),
        st.sampled_from([None, "1", "2", "3", "4", "invalid-1"]),
    ),
    max_size=5,
)
_operations = st.lists(st.tuples(st.booleans(), _subscribers), max_size=6)


def batch(people: list[tuple[str | None, str | None]]) -> Batch:
    """Return a batch of subscribers."""
    emails, user_ids = [email for email, _ in people], [user_id for _, user_id in people]
    return Batch(emails, user_ids, None not in emails, None not in user_ids)


def play(
    project: str, operations: list[tuple[bool, list[tuple[str | None, str | None]]]], unique: bool, slow: bool
) -> tuple[object, ...]:
    """Execute subscribes (true) and unsubscribes (false). Returns the answers and the final state."""
    state = State()
    target = state.lists_of(state.project(project))[0]
    answers: list[tuple[int, list[Failure]]] = []
    for joins, people in operations:
        subscribers = batch(people)
        if joins:
            subscribers = replace(subscribers, extras=[{} for _ in people]) if slow else subscribers
            outcome = upsert(state.project(project), subscribers, unique_user_ids=unique)
            target.join(outcome.numbers, 0.0)
        else:
            subscribers = (
                batch([*people, (None, None)]) if slow else subscribers
            )  # an empty subscriber excludes the fast path
            outcome = remove(state.project(project), target, subscribers, 0.0)
            outcome.failures = [failure for failure in outcome.failures if failure.bucket]
        answers.append((len(outcome.numbers), outcome.failures))
    return answers, state.members(target.id), state.history(target.id)


@given(st.sampled_from(["Sandbox", "Sandbox hybrid", "Sandbox userId"]), _operations, st.booleans())
@settings(max_examples=examples(600), deadline=None)
def test_the_fast_path_equals_the_slow_path(
    project: str, operations: list[tuple[bool, list[tuple[str | None, str | None]]]], unique: bool
) -> None:
    """On both paths, answers, members and history are the same."""
    assert play(project, operations, unique, slow=False) == play(project, operations, unique, slow=True)
