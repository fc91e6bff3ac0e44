"""The types of data fields: which one a field has, and how a value of the source becomes JSON of that type.

Iterable keeps one type for each field of a project, fixed by the first value. What the project has wins: text from a
CSV file becomes a number if the field is a number, and stays text if the field is text. A field that is new in the
project gets the type that most of its values have; text of a format without types counts as what all of it can be read
as.

The values come from `source_fields` (core/sources/field_columns.py describes them). Those of few members are read in
Python (core/planning/small_fields.py), with the same result.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING

from core.models.data_fields import MOBILE, PHONE_NUMBER
from core.sources.field_columns import LONGEST_VALUE, TABLE
from core.sources.raw_identity import NULL_WORDS
from core.sources.sql_expressions import literal, milliseconds_of_text

if TYPE_CHECKING:
    import duckdb


class FieldType(StrEnum):
    """The type of a field, as `GET /api/users/getFields` names it."""

    STRING = "string"
    LONG = "long"
    DOUBLE = "double"
    BOOLEAN = "boolean"
    DATE = "date"
    OBJECT = "object"
    OTHER = "other"
    """One that we don't know: values are sent as they are, and Iterable decides."""

    @property
    def words(self) -> str:
        """What a value has to be, for people."""
        return _WORDS[self]


_WORDS = {
    FieldType.STRING: "text",
    FieldType.LONG: "a whole number",
    FieldType.DOUBLE: "a number",
    FieldType.BOOLEAN: "true or false",
    FieldType.DATE: "a date",
    FieldType.OBJECT: "an object",
    FieldType.OTHER: "of the field's type",
}
# Names of the same types, as other versions of Iterable and its store Elasticsearch spell them.
_SPELLINGS = {
    "keyword": FieldType.STRING,
    "text": FieldType.STRING,
    "integer": FieldType.LONG,
    "int": FieldType.LONG,
    "short": FieldType.LONG,
    "float": FieldType.DOUBLE,
    "number": FieldType.DOUBLE,
    "map": FieldType.OBJECT,
}
# The patterns mean the same in RE2 and Python.
INTEGER = "-?(0|[1-9][0-9]{0,17})"
NUMBER = r"-?(0|[1-9][0-9]{0,300})(\.[0-9]{1,300})?([eE][-+]?[0-9]{1,3})?"
_TIME = r"[0-2][0-9]:[0-5][0-9](:[0-6][0-9](\.[0-9]+)?)?(Z|[-+][0-2][0-9](:?[0-5][0-9])?)?"
DATE = f"[0-9]{{4}}-[01][0-9]-[0-3][0-9]([T ]{_TIME})?"
#: What is not in the phone number that is sent.
NOT_IN_MOBILE = "[^0-9+]"
#: Below this, every whole number is an exact floating-point number.
EXACT = 1 << 53


def named(name: str) -> FieldType:
    """Return the type of this name; OTHER if it is unknown."""
    if name in FieldType.__members__.values():
        return FieldType(name)
    return _SPELLINGS.get(name, FieldType.OTHER)


def types_of(
    con: "duckdb.DuckDBPyConnection", names: Mapping[str, str], known: Mapping[str, str], *, infer: bool
) -> list[FieldType]:
    """Return the types of the columns f0, f1, ... of `source_fields`.

    `names` are the names of the fields in Iterable, keyed by those in the source, in the order of the columns; `known`
    are the types in the project, by name. Without `infer`, text without a type is a string in a new field.
    """
    fixed = (fixed_type(name, known) for name in names.values())
    return [kind or _inferred(con, f"f{index}", infer=infer) for index, kind in enumerate(fixed)]


def fixed_type(name: str, known: Mapping[str, str]) -> FieldType | None:
    """Return the type of a field in Iterable, whatever its values are; None if they decide. `known` is as above."""
    if name in known:
        return named(known[name])
    return FieldType.STRING if name == PHONE_NUMBER else None


def value_of(column: str, source: str, kind: FieldType) -> tuple[str, str]:
    """Return a column's value as JSON of this type (SQL; NULL if there is none), and whether it can't be that.

    `source` is the name in the source.
    """
    text = f"substr({column}, 2)"
    if is_mobile(source):
        text = f"if({column}[1] = 'j', {text}, regexp_replace({text}, '{NOT_IN_MOBILE}', '', 'g'))"
    nothing = "false"
    if has_null_words(kind):
        nothing = f"({column}[1] IN ('t', 's') AND lower(trim({text})) IN ({', '.join(map(literal, NULL_WORDS))}))"
    cases = _CASES[kind].replace("{kind}", f"{column}[1]").replace("{text}", text)
    value = f"CASE WHEN {column} = 'n' THEN 'null' WHEN {nothing} OR {text} = '' THEN NULL {cases} END"
    has_value = f"{column} NOT IN ('n', 'l') AND NOT {nothing} AND {text} <> ''"
    return value, f"({has_value} AND ({value}) IS NULL) OR {column} = 'l'"


def is_mobile(source: str) -> bool:
    """Return whether a name in the source is that of mParticle's phone number."""
    return source.casefold() == MOBILE.casefold()


def has_null_words(kind: FieldType) -> bool:
    """Return whether a word that means "no value" is no value of this type: it would be one as text."""
    return kind not in (FieldType.STRING, FieldType.OTHER, FieldType.OBJECT)


def clash_words(kind: FieldType) -> str:
    """Return what is wrong with a value that can't be of a type, for people."""
    return f"it has to be {kind.words}, and at most {LONGEST_VALUE:,} bytes long"


_IS_TEXT = "{kind} IN ('t', 's')"
_IS_ARRAY = "{kind} = 'j' AND json_type({text}) = 'ARRAY' THEN {text}"
_CASES = {
    FieldType.STRING: f"WHEN {{kind}} IN ('t', 's', 'd') THEN to_json({{text}})::VARCHAR WHEN {_IS_ARRAY}",
    FieldType.LONG: f"WHEN {_IS_TEXT} AND regexp_full_match(trim({{text}}), '{INTEGER}') THEN trim({{text}}) "
    "WHEN {kind} = 'j' AND json_type({text}) IN ('BIGINT', 'UBIGINT') THEN {text} "
    "WHEN {kind} = 'j' AND json_type({text}) = 'DOUBLE' AND TRY_CAST({text} AS DOUBLE) = "
    f"trunc(TRY_CAST({{text}} AS DOUBLE)) AND abs(TRY_CAST({{text}} AS DOUBLE)) < {EXACT} "
    f"THEN TRY_CAST({{text}} AS DOUBLE)::BIGINT::VARCHAR WHEN {_IS_ARRAY}",
    FieldType.DOUBLE: f"WHEN {_IS_TEXT} AND regexp_full_match(trim({{text}}), '{NUMBER}') THEN trim({{text}}) "
    f"WHEN {{kind}} = 'j' AND json_type({{text}}) IN ('BIGINT', 'UBIGINT', 'DOUBLE') THEN {{text}} WHEN {_IS_ARRAY}",
    FieldType.BOOLEAN: f"WHEN {_IS_TEXT} AND lower(trim({{text}})) IN ('true', 'false') THEN lower(trim({{text}})) "
    f"WHEN {{kind}} = 'j' AND json_type({{text}}) = 'BOOLEAN' THEN {{text}} WHEN {_IS_ARRAY}",
    FieldType.DATE: f"WHEN {_IS_TEXT} AND regexp_full_match(trim({{text}}), '{DATE}') "
    f"THEN to_json(strftime(make_timestamp(1000 * {milliseconds_of_text('trim({text})')}), "
    f"'%Y-%m-%d %H:%M:%S +00:00'))::VARCHAR WHEN {{kind}} = 'd' THEN to_json({{text}})::VARCHAR WHEN {_IS_ARRAY}",
    FieldType.OBJECT: "WHEN {kind} = 'j' AND json_type({text}) IN ('OBJECT', 'ARRAY') THEN {text}",
    FieldType.OTHER: "WHEN {kind} = 'j' THEN {text} WHEN {kind} <> 'l' THEN to_json({text})::VARCHAR",
}
_COUNTS = """
SELECT count(*) FILTER (kind = 't' AND NOT is_word),
    count(*) FILTER (kind = 't' AND NOT is_word AND regexp_full_match(text, '{integer}')),
    count(*) FILTER (kind = 't' AND NOT is_word AND regexp_full_match(text, '{number}')),
    count(*) FILTER (kind = 't' AND NOT is_word AND lower(text) IN ('true', 'false')),
    count(*) FILTER (kind = 't' AND NOT is_word AND regexp_full_match(text, '{date}')),
    count(*) FILTER (kind = 's'),
    count(*) FILTER (kind = 'd'),
    count(*) FILTER (shape IN ('BIGINT', 'UBIGINT')),
    count(*) FILTER (shape = 'DOUBLE'),
    count(*) FILTER (shape = 'BOOLEAN'),
    count(*) FILTER (shape = 'OBJECT'),
    count(*) FILTER (shape = 'ARRAY')
FROM (SELECT *, lower(text) IN ({words}) AS is_word, CASE WHEN kind = 'j' THEN json_type(text) END AS shape
    FROM (SELECT {column}[1] AS kind, trim(substr({column}, 2)) AS text FROM {table} WHERE {column} IS NOT NULL))
"""


def _inferred(con: "duckdb.DuckDBPyConnection", column: str, *, infer: bool) -> FieldType:
    """Return the type that most values of a column have."""
    words = ", ".join(map(literal, NULL_WORDS))
    sql = _COUNTS.format(integer=INTEGER, number=NUMBER, date=DATE, words=words, column=column, table=TABLE)
    texts, integers, numbers, booleans, dates, *typed = con.execute(sql).fetchall()[0]
    of_text = FieldType.STRING
    if infer and texts:
        readings = (
            (FieldType.LONG, integers),
            (FieldType.DOUBLE, numbers),
            (FieldType.BOOLEAN, booleans),
            (FieldType.DATE, dates),
        )
        of_text = next((kind for kind, count in readings if count == texts), FieldType.STRING)
    return most_common(texts, of_text, typed)


def most_common(texts: int, of_text: FieldType, typed: Sequence[int]) -> FieldType:
    """Return the type that most values have: of so many texts without a type, which are `of_text`, and of others.

    `typed` are the numbers of strings, dates, whole numbers, other numbers, truth values, objects and arrays.
    """
    strings, dates, longs, doubles, truths, objects, arrays = typed
    counts = {
        FieldType.STRING: strings,
        FieldType.DATE: dates,
        FieldType.LONG: 0 if doubles else longs,
        FieldType.DOUBLE: longs + doubles if doubles else 0,
        FieldType.BOOLEAN: truths,
        FieldType.OBJECT: objects,
        FieldType.OTHER: arrays,
    }
    if of_text is FieldType.LONG and doubles:
        of_text = FieldType.DOUBLE
    counts[of_text] += texts
    return max(counts, key=lambda kind: counts[kind])
