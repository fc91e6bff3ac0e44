"""The modal *Schedule syncs* as typed values."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from bot.features.ids import ScheduleBlock
from bot.ui.modal_state import ViewInputs
from bot.ui.more_options import FormMetadata
from core.automation import times
from core.automation.schedules import ScheduleOptions
from core.errors import InputError, ValidationError
from core.store.schedules import Missed, Trigger


class When(StrEnum):
    """The choices of when to sync."""

    NEW_FILE = "new_file"
    HOURLY = "hourly"
    DAILY = "daily"
    WEEKDAYS = "weekdays"
    WEEKLY = "weekly"
    AFTER = "after"
    CRON = "cron"

    @property
    def has_time(self) -> bool:
        """Whether a time of day belongs to it."""
        return self in (When.DAILY, When.WEEKDAYS, When.WEEKLY)


class ScheduleMetadata(FormMetadata):
    """The mapping to schedule, the choice that the form shows, and the person's time zone."""

    mapping_id: int
    when: str = When.NEW_FILE.value
    time_zone: str = "UTC"
    channel: str | None = None


@dataclass(frozen=True, slots=True)
class ScheduleForm:
    """The submitted modal. What does not belong to `when` is empty. `archive` is None if it stays as it is."""

    metadata: ScheduleMetadata
    address: str
    when: When
    at: str
    day: str
    cron: str
    after_mapping_id: int | None
    time_zone: str
    missed: Missed
    quiet_from: str | None
    quiet_to: str | None
    archive: str | None
    name: str

    @classmethod
    def read(cls, view: Mapping[str, Any]) -> Self:
        """Read the submitted modal."""
        inputs, metadata = ViewInputs(view), ScheduleMetadata.load(view)
        after = inputs.choice(ScheduleBlock.AFTER) or ""
        return cls(
            metadata=metadata,
            address=inputs.text(ScheduleBlock.ADDRESS),
            when=When(inputs.choice(ScheduleBlock.WHEN) or metadata.when),
            at=inputs.time(ScheduleBlock.AT) or "",
            day=inputs.choice(ScheduleBlock.DAY) or "",
            cron=inputs.text(ScheduleBlock.CRON),
            after_mapping_id=int(after) if after.isdecimal() else None,
            time_zone=inputs.text(ScheduleBlock.TIME_ZONE) or metadata.time_zone,
            missed=Missed(inputs.choice(ScheduleBlock.MISSED) or Missed.ONCE),
            quiet_from=inputs.time(ScheduleBlock.QUIET_FROM),
            quiet_to=inputs.time(ScheduleBlock.QUIET_TO),
            archive=inputs.text(ScheduleBlock.ARCHIVE) if inputs.has(ScheduleBlock.ARCHIVE) else None,
            name=inputs.text(ScheduleBlock.NAME),
        )

    @property
    def trigger(self) -> Trigger:
        """What fires the schedule."""
        triggers = {When.NEW_FILE: Trigger.NEW_FILE, When.AFTER: Trigger.AFTER}
        return triggers.get(self.when, Trigger.CRON)

    @property
    def cron_expression(self) -> str | None:
        """The cron expression; None if a time does not fire it. Raises ValidationError if it is wrong."""
        if self.trigger is not Trigger.CRON:
            return None
        if self.when is When.CRON:
            return times.check_cron(self.cron)
        if self.when is When.HOURLY:
            return times.hourly()
        if self.when is When.WEEKLY:
            return times.weekly(self.day, self.at)
        return times.daily(self.at) if self.when is When.DAILY else times.weekdays(self.at)

    @property
    def options(self) -> ScheduleOptions:
        """The options of the schedule. Raises ValidationError if one is wrong."""
        return ScheduleOptions(
            trigger=self.trigger,
            name=self.name,
            cron=self.cron_expression,
            time_zone=self.time_zone,
            after_mapping_id=self.after_mapping_id,
            missed=self.missed,
            quiet_from=self.quiet_from,
            quiet_to=self.quiet_to,
        )

    def problems(self) -> dict[str, str]:
        """Return error messages by block id, as far as no request is needed to find them."""
        errors: dict[str, str] = {}
        if not self.address:
            errors[ScheduleBlock.ADDRESS] = "Enter the location of the files."
        if self.when is When.AFTER and self.after_mapping_id is None:
            errors[ScheduleBlock.AFTER] = "Choose the sync that has to succeed first."
        if (self.quiet_from is None) != (self.quiet_to is None):
            errors[ScheduleBlock.QUIET_TO] = "Set both the start and the end of the quiet hours."
        try:
            times.check_time_zone(self.time_zone)
        except ValidationError as error:
            errors[ScheduleBlock.TIME_ZONE] = error.message
        try:
            self.cron_expression  # noqa: B018  # raises if it is wrong
        except InputError as error:
            errors[ScheduleBlock.CRON if self.when is When.CRON else ScheduleBlock.AT] = error.message
        return errors
