"""The message of an alert: what failed and why, the progress so far, and what to do."""

from dataclasses import dataclass

from slack_sdk.models.blocks import Block, ButtonElement

from bot.features.alerts.drift_views import drift_blocks, drift_buttons
from bot.features.ids import AlertAction, ConnectAction, MappingAction
from bot.features.runs.result_messages import before, retry_buttons, what_to_do
from bot.features.runs.run_view import RunView, reason
from bot.ui.blocks import Message, actions, button, context, section, text_message
from bot.ui.formatting import cut, duration, escape, moment, person, plural, run_words
from bot.ui.rule_words import RULE_WORDS
from core.iterable import InvalidApiKeyError
from core.runs.drift import NONE, OwnChanges
from core.store.alert_kinds import AlertKind
from core.store.alert_rules import Rule
from core.store.alerts import Alert, AlertOutcome
from core.store.connections import Connection
from core.store.list_checks import ListCheck
from core.store.mappings import AudienceMapping

_SILENCE_ADVICE = (
    "in mParticle, open the connection of this audience. If it is faulted, press *Resume*, and then sync an audience "
    "download to catch up. If no one joined or left, ignore this: the alert closes with the next change."
)
_LATE_FILE_ADVICE = (
    "check whether the export still runs. If no file was due, ignore this: it closes with the next file."
)
_SOURCE_ADVICE = "fix what is described above. The source is checked again automatically, and no file is skipped."
_LIVE_ADVICE = (
    "fix what is described above. Changes from mParticle are kept and retried automatically; nothing is lost."
)
_RUN_LOG_ADVICE = (
    "the operator of this program fixes what is described above (`iterable-sync doctor`). Runs wait meanwhile, and are "
    "written automatically afterwards; none is lost."
)


@dataclass(frozen=True, slots=True)
class AlertView:
    """An alert with the data of its message. `run_view` is the latest run that failed with this error,
    `check` the comparison of the list if that differs, and `own_changes` what this program has done to it.
    `run_link` is the address of the run's message."""

    alert: Alert
    connection: Connection
    mapping: AudienceMapping | None
    run_view: RunView | None
    check: ListCheck | None = None
    own_changes: OwnChanges = NONE
    run_link: str | None = None

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
        return self.alert.code == AlertKind.SILENCE

    @property
    def is_drift(self) -> bool:
        """Whether nothing failed, but the list differs from what was synced."""
        return self.alert.code == AlertKind.DRIFT

    @property
    def is_rule(self) -> bool:
        """Whether nothing failed, but a rule found something unusual."""
        return self.alert.code in RULE_WORDS

    @property
    def heading(self) -> str:
        """What is wrong with the subject, in a few words (mrkdwn)."""
        if self.is_rule:
            return f"{RULE_WORDS[Rule(self.alert.code)].heading}: {self.what}"
        if self.alert.code == AlertKind.LATE_FILE:
            return f"No new file: {self.what}"
        if self.alert.code == AlertKind.RUN_LOG:
            return "The run log can't be written"
        if self.is_drift:
            return f"The list differs: {self.what}"
        return f"No changes from mParticle: {self.what}" if self.is_silence else f"Sync failing: {self.what}"

    @property
    def sign(self) -> str:
        """The emoji that shows the severity."""
        is_fault = not (self.is_drift or self.is_silence or self.is_rule or self.alert.code == AlertKind.LATE_FILE)
        return ":rotating_light:" if is_fault else ":warning:"

    @property
    def recovered(self) -> str:
        """What is well again, in a few words (mrkdwn)."""
        if self.is_rule:
            return f"{RULE_WORDS[Rule(self.alert.code)].recovered}: {self.what}"
        if self.alert.code == AlertKind.LATE_FILE:
            return f"A new file arrived: {self.what}"
        if self.alert.code == AlertKind.RUN_LOG:
            return "The run log is written again"
        if self.is_drift:
            return f"The list matches again: {self.what}"
        return f"Changes arrive again: {self.what}" if self.is_silence else f"Recovered: {self.what}"

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
        return _closed(view)
    text = f"{view.heading}. {why}"
    if view.is_drift:
        heading = f"{view.sign} *{view.heading}*"
        report = drift_blocks(view.check, view.own_changes, heading, why)
        return Message(text, [*report, context(*_state(view)), *_rows(view)])
    lines = [f"{view.sign} *{view.heading}*", why]
    if view.run_view is not None:
        lines.append(f"*Progress so far:* {before(view.run_view)}")
    lines.append(_advice(view))
    return Message(text, [section("\n".join(lines)), context(*_state(view)), actions(*_buttons(view))])


def _advice(view: AlertView) -> str:
    """Return when the next automatic try is, and what to do (mrkdwn)."""
    if view.run_view is not None and not view.is_live and not view.is_silence:
        return what_to_do(view.run_view)
    if view.is_silence:
        advice = _SILENCE_ADVICE
    elif view.alert.code == AlertKind.LATE_FILE:
        advice = _LATE_FILE_ADVICE
    elif view.is_rule:
        advice = (
            f"{RULE_WORDS[Rule(view.alert.code)].advice} An admin can change the rule: *Alert rules* on the Home page."
        )
    elif view.alert.code == AlertKind.RUN_LOG:
        advice = _RUN_LOG_ADVICE
    else:
        advice = _LIVE_ADVICE if view.is_live else _SOURCE_ADVICE
    return f"*What you can do:* {advice}"


def all_clear(view: AlertView) -> Message:
    """Return the reply that a failing sync works again."""
    lasted = duration(max(0.0, (view.alert.closed_at or 0.0) - view.alert.opened_at))
    is_fault = not (view.is_silence or view.is_drift or view.is_rule)
    was = f"It failed for {lasted}" if is_fault else f"The alert was open for {lasted}"
    return text_message(f":large_green_circle: {view.recovered}. {was}.")


def _closed(view: AlertView) -> Message:
    """Return the message of a closed alert. What was wrong is short: the advice is out of date."""
    alert, at = view.alert, moment(view.alert.closed_at or 0.0)
    what_was = reason(alert.message.partition(". ")[0].rstrip("."))
    if alert.outcome is AlertOutcome.RESOLVED:
        text, sign = f"{view.recovered}.", ":large_green_circle:"
        body = f"{sign} *{view.recovered}*\n{at}. Before: {what_was}."
    else:
        text = f"Now failing for another reason: {view.what}."
        body = f"{view.sign} *Now failing for another reason: {view.what}*\nUntil {at}: {what_was}."
    return Message(text, [section(body), context(*_state(view))])


def _state(view: AlertView) -> list[str]:
    """Return since when it fails, how often, who acknowledged it, and until when it is snoozed (mrkdwn, a line
    each)."""
    times = f", {plural(view.alert.occurrences + 1, 'time')}" if view.alert.occurrences else ""
    lines = [f"Since {moment(view.alert.opened_at)}{times} · connection {escape(view.connection.label)}"]
    if view.run_view is not None:
        run = view.run_view.run
        by = "from mParticle" if run.is_live else f"started by {person(run.started_by)}"
        lines[0] += f" · {run_words(run.id, view.run_link)}, {by}"
    if view.alert.acknowledged_by is not None:
        lines.append(f"{person(view.alert.acknowledged_by)} is on it")
    if view.alert.snoozed_until is not None and view.alert.closed_at is None:
        lines.append(f"Muted for everyone until {moment(view.alert.snoozed_until)}")
    return lines


def _rows(view: AlertView) -> list[Block]:
    """Return the buttons about a list that differs: what to do about it, and the alert itself."""
    about = [button("I'm on it", AlertAction.TAKE, str(view.alert.id))] if view.alert.acknowledged_by is None else []
    about.append(_snooze_button(view))
    offered = drift_buttons(view.check, view.alert.mapping_id or 0)
    return [actions(*buttons) for buttons in (offered, about) if buttons]


def _buttons(view: AlertView) -> list[ButtonElement]:
    if view.run_view is not None and not view.is_live:
        buttons = retry_buttons(view.run_view)
    else:
        key = button("Replace key", ConnectAction.KEY, str(view.alert.connection_id))
        buttons = [key] if view.alert.code == InvalidApiKeyError.code else []
    if view.alert.acknowledged_by is None:
        buttons.append(button("I'm on it", AlertAction.TAKE, str(view.alert.id)))
    buttons.append(_snooze_button(view))
    if view.alert.mapping_id is not None:
        buttons.append(button("Pause", MappingAction.PAUSE, str(view.alert.mapping_id), label="Pause this mapping"))
    return buttons


def _snooze_button(view: AlertView) -> ButtonElement:
    if view.alert.snoozed_until is None:
        return button("Snooze 24 h", AlertAction.MUTE, str(view.alert.id))
    return button("Unsnooze", AlertAction.UNMUTE, str(view.alert.id))
