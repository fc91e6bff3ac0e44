"""The data fields of few members, in Python: which values they get, and who has one that can't be sent.

core/planning/field_types.py and core/planning/data_fields.py do the same in DuckDB for large audiences, and say what
the rules are. A property test compares both, value by value.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import orjson

from core.identity import UserIdField
from core.iterable import FailureReason
from core.models.data_fields import FIELD_WORDS
from core.planning.data_fields import FieldSettings, notes_of
from core.planning.field_types import (
    DATE,
    EXACT,
    INTEGER,
    NOT_IN_MOBILE,
    NUMBER,
    FieldType,
    clash_words,
    fixed_type,
    has_null_words,
    is_mobile,
    most_common,
)
from core.planning.small_diff import Members
from core.planning.small_rejections import customer_id_of
from core.planning.small_workspace import lower, trim
from core.sources.raw_identity import NULL_WORDS
from core.store.rejections import Rejection

#: Values of members (core/sources/field_columns.py), by member key and by the name of the field in the source.
SmallValues = Mapping[str, Mapping[str, str]]

_INTEGER, _NUMBER, _DATE = (re.compile(pattern) for pattern in (INTEGER, NUMBER, DATE))
_NOT_IN_MOBILE = re.compile(NOT_IN_MOBILE)
_CONTROL = re.compile(r"[\x0b\x0e-\x1f]")
_ESCAPE = re.compile(r"\\(\\|u00[0-9a-f]{2})")
# The parts of a date: year, month, day, hour, minute, second, fraction, time zone.
_PARTS = re.compile(
    r"(\d+)-(\d+)-(\d+)(?:[T ](\d+):(\d+)(?::(\d+)(?:\.(\d+))?)?(?:Z|([-+])(\d\d):?(\d\d)?)?)?", re.ASCII
)
_CYCLE_YEARS = 400


@dataclass(slots=True)
class _Field:
    """A data field, and what its values become: each distinct value is read once."""

    source: str
    name: str
    kind: FieldType
    read: dict[str, tuple[str | None, bool]] = field(default_factory=dict)

    def value(self, raw: str) -> tuple[str | None, bool]:
        """Return a value as JSON (None: there is none), and whether it can't be of the field's type."""
        known = self.read.get(raw)
        if known is None:
            known = self.read[raw] = read_value(raw, self.source, self.kind)
        return known


def add_fields(
    members: Members, values: SmallValues, settings: FieldSettings, field_of_user_id: UserIdField
) -> tuple[str, ...]:
    """Give members the data fields that are sent for them, and reject those with a value that its field can't take.

    `values` are those of everyone in the source who is a member. A field that is new in the project gets the type that
    most of them have; text is a string. Returns notes for people, as `core.planning.data_fields.load_fields`.
    """
    fields = []
    for source, name in settings.choices.items():
        kind = fixed_type(name, settings.types)
        if kind is None:
            kind = _common_type(raw for of in values.values() if (raw := of.get(source)) is not None)
        fields.append(_Field(source, name, kind))
    for key, of_member in values.items():
        if key not in members.desired:
            continue
        parts, clash = [], None
        for each in fields:
            if (raw := of_member.get(each.source)) is None:
                continue
            value, is_clash = each.value(raw)
            if is_clash:
                clash = clash or each
            elif value is not None:
                parts.append(f'"{each.name}":{value}')
        if clash is not None:
            email, user_id = members.desired.pop(key)
            words = f"{FIELD_WORDS} {clash.name}: {clash_words(clash.kind)}."
            reason = FailureReason.INVALID_DATA.value
            members.rejected.append(Rejection(key, email, customer_id_of(user_id, field_of_user_id), reason, words))
        elif parts:
            members.fields[key] = f"{{{','.join(parts)}}}"
    return notes_of(settings, [each.kind for each in fields])


def read_value(raw: str, source: str, kind: FieldType) -> tuple[str | None, bool]:
    """Return a value as JSON of a type, and whether it can't be that, as `core.planning.field_types.value_of`."""
    if raw == "n":
        return "null", False
    if raw == "l":
        return None, True
    letter, text = raw[0], raw[1:]
    if is_mobile(source) and letter != "j":
        text = _NOT_IN_MOBILE.sub("", text)
    if not text or (has_null_words(kind) and letter in "ts" and _word(text) in NULL_WORDS):
        return None, False
    value = _of_json(text, kind) if letter == "j" else _of_text(letter, text, kind)
    return value, value is None


def _of_text(letter: str, text: str, kind: FieldType) -> str | None:
    if kind in (FieldType.STRING, FieldType.OTHER) or (kind is FieldType.DATE and letter == "d"):
        return quoted(text)
    if letter == "d" or kind is FieldType.OBJECT:
        return None
    plain = trim(text) or ""
    if kind is FieldType.DATE:
        return quoted(moment) if _DATE.fullmatch(plain) and (moment := date_text(plain)) is not None else None
    if kind is FieldType.BOOLEAN:
        return truth if (truth := _word(text)) in ("true", "false") else None
    return plain if (_INTEGER if kind is FieldType.LONG else _NUMBER).fullmatch(plain) else None


def _of_json(text: str, kind: FieldType) -> str | None:
    shape = json_type(text)
    if kind is FieldType.OTHER or shape == "ARRAY":
        return text
    is_number = shape in ("BIGINT", "UBIGINT", "DOUBLE")
    if kind is FieldType.LONG and shape == "DOUBLE":
        number = float(text)
        return str(int(number)) if abs(number) < EXACT and number.is_integer() else None
    fits = (
        (is_number and kind in (FieldType.LONG, FieldType.DOUBLE))
        or (shape == "BOOLEAN" and kind is FieldType.BOOLEAN)
        or (shape == "OBJECT" and kind is FieldType.OBJECT)
    )
    return text if fits else None


def json_type(text: str) -> str:
    """Return DuckDB's name of the type of a JSON value: a number, a truth value, an array or an object."""
    shape = {"[": "ARRAY", "{": "OBJECT", "t": "BOOLEAN", "f": "BOOLEAN"}.get(text[0])
    if shape is not None:
        return shape
    if not text.lstrip("-").isdigit():
        return "DOUBLE"
    number = int(text)
    if text.startswith("-"):
        return "BIGINT" if number >= -(1 << 63) else "DOUBLE"
    return "UBIGINT" if number < 1 << 64 else "DOUBLE"


def quoted(text: str) -> str:
    """Return a text as JSON, as DuckDB writes it: digests of data fields depend on each character."""
    written = orjson.dumps(text).decode()
    if _CONTROL.search(text) is None:
        return written
    return _ESCAPE.sub(lambda match: match[0] if match[1] == "\\" else f"\\u{match[1][1:].upper()}", written)


def date_text(text: str) -> str | None:
    """Return a date that matches DATE as Iterable writes it, in UTC; None if there is no such day or time."""
    match = _PARTS.fullmatch(text)
    assert match is not None
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups()[:6])
    fraction, sign, zone_hours, zone_minutes = match.groups()[6:]
    micros = int(f"{fraction or '':0<6}"[:6])
    is_end_of_day = (hour, minute, second, micros) == (24, 0, 0, 0)
    # the calendar repeats, and Python has no years before 1 and after 9999
    shift = year - year % _CYCLE_YEARS - _CYCLE_YEARS
    try:
        moment = datetime(year - shift, month, day, 0 if is_end_of_day else hour, minute, second, micros, UTC)
    except ValueError:
        return None
    moment += timedelta(days=is_end_of_day)
    if sign is not None:
        offset = timedelta(hours=int(zone_hours), minutes=int(zone_minutes or 0))
        moment += -offset if sign == "+" else offset
    # DuckDB rounds to milliseconds, and half of one away from 1970
    moment += timedelta(microseconds=500 if moment.year + shift >= 1970 else 499)
    return f"{moment.year + shift:04}-{moment:%m-%d %H:%M:%S} +00:00"


def _common_type(values: Iterable[str]) -> FieldType:
    texts, counts = 0, dict.fromkeys(("s", "d", "LONG", "DOUBLE", "BOOLEAN", "OBJECT", "ARRAY"), 0)
    for raw in values:
        letter = raw[0]
        if letter == "t":
            texts += _word(raw[1:]) not in NULL_WORDS
        elif letter == "j":
            shape = json_type(raw[1:])
            counts["LONG" if shape in ("BIGINT", "UBIGINT") else shape] += 1
        elif letter in "sd":
            counts[letter] += 1
    return most_common(texts, FieldType.STRING, [*counts.values()])


def _word(text: str) -> str:
    return lower(trim(text)) or ""
