"""The modal *Schedule syncs*, and the list of schedules."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from slack_sdk.models.blocks import Block, InputBlock
from slack_sdk.models.blocks.block_elements import (
    PlainTextInputElement,
    RadioButtonsElement,
    StaticSelectElement,
    TimePickerElement,
)

from bot.features.ids import ScheduleAction, ScheduleBlock, ScheduleCallback
from bot.features.mapping_lookup import MappingRef
from bot.features.schedules.form import ScheduleMetadata, When
from bot.ui.blocks import Message, actions, button, confirmation, context, field_of, modal, notice, option, section
from bot.ui.formatting import cut, escape, moment, person, plural
from bot.ui.more_options import MORE_OPTIONS, options_button
from bot.ui.schedule_words import phrase
from core.automation.schedules import NAME_MAX_LENGTH
from core.automation.sources import ADDRESS_MAX_LENGTH
from core.automation.times import DAYS
from core.store.file_sources import FileSource
from core.store.schedules import Missed, Schedule, Trigger

# A list shows so many schedules.
MOST_LISTED = 15

_WHEN = {
    When.NEW_FILE: "When a new file arrives",
    When.HOURLY: "Every hour",
    When.DAILY: "Every day at a time",
    When.WEEKDAYS: "Monday to Friday at a time",
    When.WEEKLY: "Once a week",
    When.AFTER: "After another sync succeeds",
    When.CRON: "Cron expression",
}
_MISSED = {
    Missed.ONCE: ("Sync once", "As soon as Iterable Sync runs again"),
    Missed.SKIP: ("Skip", "Wait for the next time"),
}


@dataclass(frozen=True, slots=True)
class ListedSchedule:
    """A schedule, its mapping, the place of its files, and the name of the mapping that has to succeed first."""

    schedule: Schedule
    ref: MappingRef
    address: str
    after: str | None = None


def schedule_form(
    metadata: ScheduleMetadata,
    ref: MappingRef,
    others: Sequence[MappingRef],
    source: FileSource | None,
    places: Sequence[str],
) -> dict[str, Any]:
    """Return the form. It shows the inputs that belong to the choice in `metadata.when`, and what has a default only if
    the person wants to see that.

    `others` are the mappings of the connection that may have to succeed first, `places` those that people may read.
    """
    when = When(metadata.when)
    blocks: list[Block] = [section(ref.label), _address(source, places), _when(when, has_others=bool(others))]
    if when is When.WEEKLY:
        blocks.append(_day())
    if when.has_time:
        zone = None if metadata.shows_options else f"Time zone: {metadata.time_zone}. Change it under {MORE_OPTIONS}."
        blocks.append(field_of("At", ScheduleBlock.AT, _time(ScheduleBlock.AT, "08:00"), hint=zone))
    if when is When.CRON:
        element = PlainTextInputElement(
            action_id=ScheduleBlock.CRON, max_length=100, placeholder="For example: 0 8 * * 1-5"
        )
        hint = "Minute, hour, day of the month, month, day of the week."
        blocks.append(field_of("Cron expression", ScheduleBlock.CRON, element, hint=hint))
    if when is When.AFTER:
        blocks.append(_after(others))
    if not metadata.shows_options:
        blocks.append(options_button(ScheduleAction.OPTIONS))
    else:
        blocks += [*([] if when in (When.NEW_FILE, When.AFTER) else [_missed()]), *_more(metadata, source)]
    return modal(
        "Schedule syncs",
        blocks,
        callback=ScheduleCallback.FORM,
        submit="Schedule",
        close="Cancel",
        metadata=metadata,
    )


def working() -> dict[str, Any]:
    """Return the modal that is shown while the schedule is saved."""
    return notice("Schedule syncs", "Saving…")


def saved(listed: ListedSchedule) -> dict[str, Any]:
    """Return the modal after a schedule was added."""
    return notice("Scheduled", saved_sentence(listed))


def failed(sentence: str) -> dict[str, Any]:
    """Return the modal after an error (mrkdwn)."""
    return notice("Not scheduled", sentence)


def saved_sentence(listed: ListedSchedule) -> str:
    """Return what the new schedule does, in sentences (mrkdwn)."""
    schedule = listed.schedule
    next_time = f" Next: {moment(schedule.next_due_at)}." if _has_next(schedule) and schedule.next_due_at else ""
    return (
        f"{listed.ref.label} syncs {escape(phrase(schedule, listed.after))}.{next_time}\n"
        "Scheduled syncs need the same approvals as others. `/iterable-sync schedules` shows all schedules."
    )


def schedule_list(schedules: Sequence[ListedSchedule]) -> Message:
    """Return the schedules with their buttons."""
    if not schedules:
        return Message(
            "No schedules yet.",
            [section("No schedules yet. Type `/iterable-sync schedule` and the name of a mapping to add one.")],
        )
    blocks: list[Block] = []
    for listed in schedules[:MOST_LISTED]:
        blocks += [section(_described(listed)), actions(*_buttons(listed.schedule))]
    if len(schedules) > MOST_LISTED:
        more = len(schedules) - MOST_LISTED
        blocks.append(context(f"And {more:,} more. Type `/iterable-sync schedules` and a part of a name."))
    return Message(f"{plural(len(schedules), 'schedule')}.", blocks)


def changed(listed: ListedSchedule, words: str) -> Message:
    """Return the answer to a button, such as "is paused", with the schedule and its buttons."""
    text = f"Schedule *{escape(listed.schedule.name)}* {words}."
    return Message(text, [section(f"{text}\n{_described(listed)}"), actions(*_buttons(listed.schedule))])


def _described(listed: ListedSchedule) -> str:
    schedule = listed.schedule
    state = ":double_vertical_bar: Paused" if schedule.is_paused else ""
    if not state and _has_next(schedule) and schedule.next_due_at is not None:
        state = f"Next {moment(schedule.next_due_at)}"
    last = f"Last {moment(schedule.last_fired_at)}" if schedule.last_fired_at is not None else "Not run yet"
    facts = " · ".join(part for part in (state, last, f"Added by {person(schedule.created_by)}") if part)
    return (
        f"*{escape(schedule.name)}*: {listed.ref.label}\n{_sentence(escape(phrase(schedule, listed.after)))}, "
        f"from `{escape(cut(listed.address, 150))}`\n{facts}"
    )


def _sentence(words: str) -> str:
    return words[0].upper() + words[1:]


def _has_next(schedule: Schedule) -> bool:
    return schedule.trigger is Trigger.CRON


def _buttons(schedule: Schedule) -> list[Any]:
    schedule_id, name = str(schedule.id), schedule.name
    question = confirmation("Remove the schedule?", f"{escape(name)} starts no more syncs.", "Remove", "Keep it")
    move = (
        button("Resume", ScheduleAction.RESUME, schedule_id, label=f"Resume the schedule {name}")
        if schedule.is_paused
        else button("Pause", ScheduleAction.PAUSE, schedule_id, label=f"Pause the schedule {name}")
    )
    return [
        button("Sync now", ScheduleAction.RUN_NOW, schedule_id, label=f"Look for new files of {name} now"),
        move,
        button("Remove", ScheduleAction.REMOVE, schedule_id, style="danger", confirm=question, label=f"Remove {name}"),
    ]


def _address(source: FileSource | None, places: Sequence[str]) -> InputBlock:
    element = PlainTextInputElement(
        action_id=ScheduleBlock.ADDRESS,
        max_length=ADDRESS_MAX_LENGTH,
        initial_value=source.address if source is not None else None,
        placeholder="For example: s3://acme-exports/shoppers/",
    )
    allowed = f" Allowed: {cut(', '.join(places), 100)}" if places else ""
    hint = f"A folder, a prefix, a pattern with *, or one file.{allowed}"
    return field_of("File location", ScheduleBlock.ADDRESS, element, hint=cut(hint, 150))


def _when(when: When, *, has_others: bool) -> InputBlock:
    options = {each: option(words, each.value) for each, words in _WHEN.items() if has_others or each is not When.AFTER}
    element = StaticSelectElement(
        action_id=ScheduleAction.WHEN, options=list(options.values()), initial_option=options[when]
    )
    return field_of("When to sync", ScheduleBlock.WHEN, element, dispatch=True)


def _day() -> InputBlock:
    options = [option(day.capitalize(), day) for day in DAYS]
    element = StaticSelectElement(action_id=ScheduleBlock.DAY, options=options, initial_option=options[0])
    return field_of("On", ScheduleBlock.DAY, element)


def _time(block: ScheduleBlock, initial: str | None = None) -> TimePickerElement:
    return TimePickerElement(action_id=block, initial_time=initial)


def _after(others: Sequence[MappingRef]) -> InputBlock:
    options = [option(ref.plain, str(ref.mapping.id)) for ref in others[:100]]
    element = StaticSelectElement(action_id=ScheduleBlock.AFTER, options=options)
    return field_of("After which sync", ScheduleBlock.AFTER, element)


def _missed() -> InputBlock:
    options = [option(name, missed.value, what) for missed, (name, what) in _MISSED.items()]
    element = RadioButtonsElement(action_id=ScheduleBlock.MISSED, options=options, initial_option=options[0])
    return field_of("If Iterable Sync was not running then", ScheduleBlock.MISSED, element)


def _more(metadata: ScheduleMetadata, source: FileSource | None) -> list[Block]:
    zone = PlainTextInputElement(action_id=ScheduleBlock.TIME_ZONE, max_length=60, initial_value=metadata.time_zone)
    archive = PlainTextInputElement(
        action_id=ScheduleBlock.ARCHIVE,
        max_length=ADDRESS_MAX_LENGTH,
        initial_value=source.archive if source is not None else None,
    )
    name = PlainTextInputElement(action_id=ScheduleBlock.NAME, max_length=NAME_MAX_LENGTH)
    archived = "A folder in the same kind of place. Leave blank to keep the files where they are."
    return [
        field_of("Time zone", ScheduleBlock.TIME_ZONE, zone, hint="Such as Europe/Berlin or America/New_York."),
        field_of("Quiet hours from", ScheduleBlock.QUIET_FROM, _time(ScheduleBlock.QUIET_FROM), optional=True),
        field_of("Quiet hours until", ScheduleBlock.QUIET_TO, _time(ScheduleBlock.QUIET_TO), optional=True),
        field_of("Move synced files to", ScheduleBlock.ARCHIVE, archive, hint=archived, optional=True),
        field_of("Name", ScheduleBlock.NAME, name, hint="Leave blank to use the audience's name.", optional=True),
    ]
