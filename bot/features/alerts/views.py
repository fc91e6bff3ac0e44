"""The message of an alert: what failed and why, the progress so far, and what to do."""

from dataclasses import dataclass

from slack_sdk.models.blocks import Block, ButtonElement

from bot.features.alerts.drift_views import drift_blocks, drift_buttons
from bot.features.ids import AlertAction, ConnectAction, MappingAction
from bot.features.runs.result_messages import before, retry_buttons, what_to_do
from bot.features.runs.run_view import RunView, reason
from bot.ui.blocks import Message, actions, button, context, section
from bot.ui.formatting import cut, escape, moment, person, plural
from bot.ui.rule_words import RULE_WORDS
from core.alerting import DRIFT, LATE_FILE, RUN_LOG, SILENCE
from core.iterable import InvalidApiKeyError
from core.store.alert_rules import Rule
from core.store.alerts import Alert, AlertOutcome
from core.store.connections import Connection
from core.store.list_checks import ListCheck
from core.store.mappings import AudienceMapping

_SILENCE_ADVICE = (
    "in mParticle, open the connection of this audience. If it is faulted, press *Resume*, and then sync an audience "
    "download to catch up. If no one joined or left, all is well: this alert closes with the next change."
)
_LATE_FILE_ADVICE = (
    "see whether the export still runs. If no file was due, all is well: this alert closes with the next file."
)
_RUN_LOG_ADVICE = (
    "the operator of this program puts right what is said above (`iterable-sync doctor`). Runs wait meanwhile, and are "
    "written by themselves; none is lost."
)
_SOURCE_ADVICE = "put right what is said above. The place is looked at again without you, and no file is skipped."
_LIVE_ADVICE = "what mParticle sends is kept and tried again by itself. Put right what is said above; nothing is lost."


@dataclass(frozen=True, slots=True)
class AlertView:
    """An alert with the data of its message. `run_view` is the latest run that failed with this error,
    `check` the comparison of the list if that differs."""

    alert: Alert
    connection: Connection
    mapping: AudienceMapping | None
    run_view: RunView | None
    check: ListCheck | None = None

    @property
    def what(self) -> str:
        """The subject of the alert (mrkdwn)."""
        if self.mapping is None:
            return f"connection {escape(self.connection.label)}"
        if self.run_view is not None:
            return self.run_view.what
        return cut(escape(self.mapping.label), 150)

    @property
    def is_silence(self) -> bool:
        """Whether nothing failed, but mParticle sends nothing."""
        return self.alert.code == SILENCE

    @property
    def is_drift(self) -> bool:
        """Whether nothing failed, but the list differs from what was synced."""
        return self.alert.code == DRIFT

    @property
    def is_rule(self) -> bool:
        """Whether nothing failed, but a rule found something unusual."""
        return self.alert.code in RULE_WORDS

    @property
    def heading(self) -> str:
        """What is wrong with the subject, in a few words (mrkdwn)."""
        if self.is_rule:
            return f":warning: {RULE_WORDS[Rule(self.alert.code)].heading}: {self.what}"
        if self.alert.code == LATE_FILE:
            return f"No new file: {self.what}"
        if self.alert.code == RUN_LOG:
            return "The run log can't be written"
        if self.is_drift:
            return f":warning: The list differs: {self.what}"
        return f"No changes from mParticle: {self.what}" if self.is_silence else f"Failing: {self.what}"

    @property
    def recovered(self) -> str:
        """What is well again, in a few words (mrkdwn)."""
        if self.is_rule:
            return f":large_green_circle: {RULE_WORDS[Rule(self.alert.code)].recovered}: {self.what}"
        if self.alert.code == LATE_FILE:
            return f"A new file has come: {self.what}"
        if self.alert.code == RUN_LOG:
            return "The run log is written again"
        if self.is_drift:
            return f":large_green_circle: The list matches again: {self.what}"
        return f"Changes arrive again: {self.what}" if self.is_silence else f"Works again: {self.what}"

    @property
    def is_live(self) -> bool:
        """Whether the alert is about a live audience, whose changes are retried without a click."""
        if self.run_view is not None:
            return self.run_view.run.is_live
        return self.mapping is None or self.mapping.is_live


def alert(view: AlertView) -> Message:
    """Return the message of an open or closed alert."""
    why = reason(view.alert.message)
    if view.alert.closed_at is not None:
        return _closed(view, why)
    text = f"{view.heading}. {why}"
    if view.is_drift:
        return Message(text, [*drift_blocks(view.check, view.heading, why), context(*_state(view)), *_rows(view)])
    blocks: list[Block] = [section(f"*{view.heading}*\n{why}")]
    done = f"*Done before:* {before(view.run_view)}\n" if view.run_view is not None else ""
    blocks.append(section(f"{done}*What to do:* {_advice(view)}"))
    return Message(text, [*blocks, context(*_state(view)), actions(*_buttons(view))])


def _advice(view: AlertView) -> str:
    """Return what to do (mrkdwn)."""
    if view.is_silence:
        return _SILENCE_ADVICE
    if view.run_view is not None and not view.is_live:
        return what_to_do(view.run_view)
    if view.alert.code == LATE_FILE:
        return _LATE_FILE_ADVICE
    if view.is_rule:
        return f"{RULE_WORDS[Rule(view.alert.code)].advice} An admin changes the rule under *More* on the mapping."
    if view.alert.code == RUN_LOG:
        return _RUN_LOG_ADVICE
    return _LIVE_ADVICE if view.is_live else _SOURCE_ADVICE


def all_clear(view: AlertView) -> Message:
    """Return the reply that a failing sync works again."""
    text = f"{view.recovered}."
    is_fault = not (view.is_silence or view.is_drift or view.is_rule)
    opened = "It had been failing since" if is_fault else "The alert was opened"
    return Message(text, [section(f"{text} {opened} {moment(view.alert.opened_at)}.")])


def _closed(view: AlertView, why: str) -> Message:
    at = moment(view.alert.closed_at or 0.0)
    if view.alert.outcome is AlertOutcome.RESOLVED:
        text = f"{view.recovered}."
        before_that = "Before" if view.is_silence or view.is_drift or view.is_rule else "It had failed"
        body = f"*{view.recovered}*\nSince {at}. {before_that}: {why}"
    else:
        text = f"Fails for another reason now: {view.what}."
        body = f"*Fails for another reason now: {view.what}*\nUntil {at} it failed like this: {why}"
    return Message(text, [section(body), context(*_state(view))])


def _state(view: AlertView) -> list[str]:
    """Return since when it fails, how often, who acknowledged it, and until when it is snoozed (mrkdwn, a line
    each)."""
    times = f", {plural(view.alert.occurrences + 1, 'time')}" if view.alert.occurrences else ""
    lines = [f"Since {moment(view.alert.opened_at)}{times} · connection {escape(view.connection.label)}"]
    if view.run_view is not None:
        run = view.run_view.run
        lines[0] += f" · run {run.id}, " + ("from mParticle" if run.is_live else f"started by {person(run.started_by)}")
    if view.alert.acknowledged_by is not None:
        lines.append(f"{person(view.alert.acknowledged_by)} is on it")
    if view.alert.snoozed_until is not None and view.alert.closed_at is None:
        lines.append(f"Muted until {moment(view.alert.snoozed_until)}")
    return lines


def _rows(view: AlertView) -> list[Block]:
    """Return the buttons about a list that differs: what to do about it, and the alert itself."""
    about = [button("I'm on it", AlertAction.TAKE, str(view.alert.id))] if view.alert.acknowledged_by is None else []
    if view.alert.snoozed_until is None:
        about.append(button("Snooze 24 h", AlertAction.MUTE, str(view.alert.id)))
    offered = drift_buttons(view.check, view.alert.mapping_id or 0)
    return [actions(*offered), *([actions(*about)] if about else [])]


def _buttons(view: AlertView) -> list[ButtonElement]:
    if view.run_view is not None and not view.is_live:
        buttons = retry_buttons(view.run_view)
    else:
        key = button("Replace key", ConnectAction.KEY, str(view.alert.connection_id))
        buttons = [key] if view.alert.code == InvalidApiKeyError.code else []
    if view.alert.mapping_id is not None:
        buttons.append(button("Pause", MappingAction.PAUSE, str(view.alert.mapping_id), label="Pause this mapping"))
    if view.alert.acknowledged_by is None:
        buttons.append(button("I take it", AlertAction.TAKE, str(view.alert.id), label="Say that you see to it"))
    if view.alert.snoozed_until is None:
        buttons.append(
            button("Mute for a day", AlertAction.MUTE, str(view.alert.id), label="Hear nothing of it for a day")
        )
    return buttons or [button("I take it", AlertAction.TAKE, str(view.alert.id))]
