"""What an alert says: what happened in one sentence, what was done before it, what to do."""

from dataclasses import dataclass

from slack_sdk.models.blocks import Block, ButtonElement

from bot.features.ids import AlertAction, ConnectAction, MappingAction
from bot.features.runs.remediation import remediation
from bot.features.runs.result_messages import before, retry_buttons
from bot.features.runs.run_view import RunView, reason
from bot.ui.blocks import Message, actions, button, context, section
from bot.ui.formatting import cut, escape, moment, person, plural
from core.iterable import InvalidApiKeyError
from core.store.alerts import Alert
from core.store.connections import Connection
from core.store.mappings import AudienceMapping

_LIVE_ADVICE = "what mParticle sends is kept and tried again by itself. Put right what is said above; nothing is lost."


@dataclass(frozen=True, slots=True)
class AlertView:
    """An alert with all that is told of it. `story` is that of the latest run that failed so."""

    alert: Alert
    connection: Connection
    mapping: AudienceMapping | None
    story: RunView | None

    @property
    def what(self) -> str:
        """What is concerned (mrkdwn)."""
        if self.mapping is None:
            return f"connection {escape(self.connection.label)}"
        if self.story is not None:
            return self.story.what
        return cut(escape(self.mapping.label), 150)

    @property
    def is_live(self) -> bool:
        """Whether it is about what mParticle sends, which is tried again without being asked."""
        return self.story is None or self.story.run.live


def alert(trouble: AlertView) -> Message:
    """An alert that is open, or that was closed."""
    it = trouble.alert
    why = reason(it.message)
    if it.closed_at is not None:
        return _closed(trouble, why)
    text = f"Failing: {trouble.what}. {why}"
    blocks: list[Block] = [section(f"*Failing: {trouble.what}*\n{why}")]
    done = f"*Done before:* {before(trouble.story)}\n" if trouble.story is not None else ""
    what_to_do = _LIVE_ADVICE if trouble.is_live else remediation(it.code)
    blocks.append(section(f"{done}*What to do:* {what_to_do}"))
    return Message(text, [*blocks, context(*_state(trouble)), actions(*_buttons(trouble))])


def all_clear(trouble: AlertView) -> Message:
    """What is said once when it works again."""
    text = f"Works again: {trouble.what}."
    return Message(text, [section(f"{text} It had been failing since {moment(trouble.alert.opened_at)}.")])


def _closed(trouble: AlertView, why: str) -> Message:
    it = trouble.alert
    at = moment(it.closed_at or 0.0)
    if it.outcome == "recovered":
        text = f"Works again: {trouble.what}."
        body = f"*Works again: {trouble.what}*\nSince {at}. It had failed: {why}"
    else:
        text = f"Fails for another reason now: {trouble.what}."
        body = f"*Fails for another reason now: {trouble.what}*\nUntil {at} it failed like this: {why}"
    return Message(text, [section(body), context(*_state(trouble))])


def _state(trouble: AlertView) -> list[str]:
    """Since when, how often, who is on it, and whether it is muted (mrkdwn), a line each."""
    it = trouble.alert
    times = f", {plural(it.repeats + 1, 'time')}" if it.repeats else ""
    lines = [f"Since {moment(it.opened_at)}{times} · connection {escape(trouble.connection.label)}"]
    if trouble.story is not None:
        run = trouble.story.run
        lines[0] += f" · run {run.id}, " + ("from mParticle" if run.live else f"started by {person(run.started_by)}")
    if it.taken_by is not None:
        lines.append(f"{person(it.taken_by)} is on it")
    if it.muted_until is not None and it.closed_at is None:
        lines.append(f"Muted until {moment(it.muted_until)}")
    return lines


def _buttons(trouble: AlertView) -> list[ButtonElement]:
    it = trouble.alert
    if trouble.story is not None and not trouble.is_live:
        buttons = retry_buttons(trouble.story)
    else:
        key = button("Replace key", ConnectAction.KEY, str(it.connection_id))
        buttons = [key] if it.code == InvalidApiKeyError.code else []
    if it.mapping_id is not None:
        buttons.append(button("Pause", MappingAction.PAUSE, str(it.mapping_id), label="Pause this mapping"))
    if it.taken_by is None:
        buttons.append(button("I take it", AlertAction.TAKE, str(it.id), label="Say that you see to it"))
    if it.muted_until is None:
        buttons.append(button("Mute for a day", AlertAction.MUTE, str(it.id), label="Hear nothing of it for a day"))
    return buttons or [button("I take it", AlertAction.TAKE, str(it.id))]
