"""The modal *Reports* of a connection: its blocks, and what was chosen as typed values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from slack_sdk.models.blocks import (
    Block,
    CheckboxesElement,
    ConversationFilter,
    ConversationSelectElement,
    PlainTextInputElement,
    StaticSelectElement,
    TimePickerElement,
)

from bot.features.ids import ReportAction, ReportBlock, ReportCallback
from bot.ui.blocks import actions, button, context, field_of, modal, notice, option
from bot.ui.formatting import escape
from bot.ui.modal_state import Metadata, ViewInputs
from core.automation import times
from core.errors import ValidationError
from core.store.connections import Connection
from core.store.reports import ReportSettings

OFF = "off"
_DAILY = "daily"


class ReportsMetadata(Metadata):
    """The connection whose reports are set."""

    connection_id: int


@dataclass(frozen=True, slots=True)
class ReportsForm:
    """The submitted modal."""

    settings: ReportSettings

    @classmethod
    def read(cls, view: Mapping[str, Any]) -> Self:
        """Read the submitted modal."""
        inputs, metadata = ViewInputs(view), ReportsMetadata.load(view)
        weekday = inputs.choice(ReportBlock.WEEKDAY) or OFF
        return cls(
            ReportSettings(
                connection_id=metadata.connection_id,
                time_zone=inputs.text(ReportBlock.TIME_ZONE),
                weekly=weekday != OFF,
                weekday=0 if weekday == OFF else int(weekday),
                daily=_DAILY in inputs.choices(ReportBlock.DAILY),
                at=inputs.time(ReportBlock.AT) or "09:00",
                channel=inputs.conversation(ReportBlock.CHANNEL),
            )
        )

    def problems(self) -> dict[str, str]:
        """Return error messages by block id."""
        try:
            times.check_time_zone(self.settings.time_zone)
        except ValidationError as error:
            return {ReportBlock.TIME_ZONE: error.message}
        return {}


def reports_modal(connection: Connection, settings: ReportSettings, mail_routes: Sequence[str]) -> dict[str, Any]:
    """Return the modal. `mail_routes` are the names of the routes that get the reports, besides Slack."""
    weekdays = [option("Off", OFF), *(option(day.capitalize(), str(number)) for number, day in enumerate(times.DAYS))]
    weekday = StaticSelectElement(
        action_id=ReportBlock.WEEKDAY,
        options=weekdays,
        initial_option=weekdays[1 + settings.weekday] if settings.weekly else weekdays[0],
    )
    daily = [option("Each day on which something was synced", _DAILY)]
    daily_box = CheckboxesElement(
        action_id=ReportBlock.DAILY, options=daily, initial_options=daily if settings.daily else None
    )
    channel = ConversationSelectElement(
        action_id=ReportBlock.CHANNEL,
        initial_conversation=settings.channel or connection.alert_channel,
        filter=ConversationFilter(include=["public", "private"], exclude_bot_users=True),
    )
    zone = PlainTextInputElement(action_id=ReportBlock.TIME_ZONE, max_length=60, initial_value=settings.time_zone)
    at = TimePickerElement(action_id=ReportBlock.AT, initial_time=settings.at)
    names = ", ".join(f"*{escape(name)}*" for name in mail_routes)
    others = f"These routes get the reports, too: {names}." if names else _NO_ROUTES
    blocks: list[Block] = [
        field_of("Weekly report", ReportBlock.WEEKDAY, weekday, hint="With charts of changes and list sizes."),
        field_of("Daily report", ReportBlock.DAILY, daily_box, optional=True),
        field_of("Time", ReportBlock.AT, at),
        field_of("Time zone", ReportBlock.TIME_ZONE, zone, hint="Such as Europe/Berlin or America/New_York."),
        field_of("Channel", ReportBlock.CHANNEL, channel, optional=True, hint="Leave blank for the alert channel."),
        context(others),
        actions(
            button(
                "Send the weekly report now", ReportAction.SEND, str(connection.id), label="Send the weekly report now"
            )
        ),
    ]
    return modal(
        f"Reports: {connection.name}",
        blocks,
        callback=ReportCallback.SETTINGS,
        submit="Save",
        close="Cancel",
        metadata=ReportsMetadata(connection_id=connection.id),
    )


_NO_ROUTES = (
    "To get reports by email, ask the people who run this app to add an email route with the event `report.weekly`."
)


def working() -> dict[str, Any]:
    """Return the modal that is shown while the settings are saved."""
    return notice("Reports", "Saving…")


def failed(sentence: str) -> dict[str, Any]:
    """Return the modal after an error (mrkdwn)."""
    return notice("Not saved", sentence)


def saved_sentence(settings: ReportSettings) -> str:
    """Return when reports come, in sentences (mrkdwn)."""
    parts = []
    if settings.weekly:
        parts.append(f"The weekly report comes each {times.DAYS[settings.weekday].capitalize()}")
    if settings.daily:
        parts.append("the daily report comes each day after one with syncs" if parts else "A report comes each day")
    if not parts:
        return "There are no reports."
    return f"{', and '.join(parts)}, at {settings.at} ({escape(settings.time_zone)})."


def sent_sentence(connection: Connection, settings: ReportSettings) -> str:
    """Return where the report that was asked for appears (mrkdwn)."""
    channel = settings.channel or connection.alert_channel
    place = f"in <#{channel}>" if channel else "at the routes that want it, because there is no alert channel"
    return f"The report is on its way. It appears {place}."


def shown(sentence: str) -> dict[str, Any]:
    """Return the modal after the settings were saved, or a report was sent."""
    return notice("Reports", sentence)
