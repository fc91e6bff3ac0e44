"""The values of data fields are read in Python as in DuckDB: each becomes the same JSON, or is refused by both."""

import duckdb
import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from core.identity import Subscriber, UserIdField
from core.models.data_fields import MOBILE
from core.planning.data_fields import FieldSettings
from core.planning.field_types import FieldType, types_of, value_of
from core.planning.small_diff import Members
from core.planning.small_fields import add_fields, date_text, json_type, quoted, read_value
from core.planning.workspace import insert
from core.sources.field_columns import LONGEST_VALUE, TABLE, create_values
from core.sources.raw_identity import NULL_WORDS
from core.vault import Vault
from tests.core.harness import WALKS

_DIGITS = st.text("0123456789", min_size=1, max_size=20)
NUMBERS = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["", "-", "+", "--"]),
    st.one_of(_DIGITS, st.integers(0, 2**70).map(str)),
    st.one_of(st.just(""), _DIGITS.map(".{}".format), st.just(".")),
    st.sampled_from(["", "", "e5", "E-3", "e+999", "e", "e1234"]),
)
TIMES = st.builds(
    "{}{:02}:{:02}{}{}".format,
    st.sampled_from(["T", " ", "t"]),
    st.integers(0, 29),
    st.integers(0, 60),
    st.one_of(
        st.just(""),
        st.integers(0, 69).map(":{:02}".format),
        st.builds(":{:02}.{}".format, st.integers(0, 59), st.one_of(_DIGITS, st.sampled_from(["9995", "9994999"]))),
    ),
    st.one_of(
        st.sampled_from(["", "", "Z", "z", "+00:00", "-0030"]),
        st.builds(
            "{}{:02}{}".format,
            st.sampled_from("+-"),
            st.integers(0, 29),
            st.one_of(st.just(""), st.integers(0, 59).map("{:02}".format), st.integers(0, 59).map(":{:02}".format)),
        ),
    ),
)
DATES = st.builds(
    "{:04}-{:02}-{:02}{}".format,
    st.one_of(st.integers(0, 9999), st.sampled_from([0, 1, 1899, 1900, 1969, 1970, 2000, 2024, 9999])),
    st.integers(0, 13),
    st.integers(0, 32),
    st.one_of(st.just(""), TIMES),
)
WORDS = st.sampled_from([*NULL_WORDS, "true", "False", "TRUE", "yes", "None", "\N{KELVIN SIGN}", "undef\u0130ned"])
ANY = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
SPACES = st.text(" \t\n\u00a0\u2003\u3000", max_size=2)
TEXTS = st.builds("{}{}{}".format, SPACES, st.one_of(NUMBERS, DATES, WORDS, ANY, st.just("x" * LONGEST_VALUE)), SPACES)
LISTS = st.lists(TEXTS, max_size=3).map(lambda items: orjson.dumps(items).decode())
JSON = st.one_of(
    LISTS,
    st.dictionaries(ANY, TEXTS, max_size=2).map(lambda pairs: orjson.dumps(pairs).decode()),
    st.sampled_from(["true", "false", "1e400", "-0", "-0.0", "0", "-1e15", "9007199254740992.0", "9007199254740991.0"]),
    st.integers(-(2**65), 2**65).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(lambda number: orjson.dumps(number).decode()),
)
#: As core/sources/field_columns.py describes them.
VALUES = st.one_of(
    TEXTS.map("t{}".format),
    TEXTS.map("s{}".format),
    JSON.map("j{}".format),
    st.just("d2026-01-31 10:00:00 +00:00"),
    st.sampled_from(["l", "n"]),
)
MANY = st.lists(VALUES, min_size=1, max_size=12)


def test_each_value_is_read_as_in_duckdb() -> None:
    """For each type, and for a phone number: the same JSON, or no value, or refused."""
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")

        @settings(max_examples=60 * WALKS, deadline=None)
        @given(MANY, st.sampled_from(["Plan", MOBILE, MOBILE.upper()]))
        @example(["t1969-12-31 23:59:59.9995", "t1969-12-31 23:59:59.9995001", "t1970-01-01 00:00:00.9995"], "Plan")
        @example(
            ["t2020-01-01 24:00", "t2020-01-01 24:00:00.0000001", "t9999-12-31 23:59-12", "t0000-01-01 00:00+1"], "a"
        )
        @example(["t2000-02-29", "t1900-02-29", "t2020-01-01 12:00:60"], "a")
        @example(["t\x0b\x0e\x1f\\u001f\x7f\u2028\U0001f600e\u0301", 'j["+1 (5)"]', "ta\x00b"], MOBILE)
        def check(values: list[str], source: str) -> None:
            columns = create_values(con, 1)
            insert(con, TABLE, [(str(place), value) for place, value in enumerate(values)], columns)
            for kind in FieldType:
                value, is_clash = value_of("f0", source, kind)
                query = f"SELECT {value}, coalesce({is_clash}, false) FROM {TABLE} ORDER BY profile::INTEGER"
                assert [read_value(each, source, kind) for each in values] == con.execute(query).fetchall()

        check()


def test_the_type_of_a_new_field_is_the_same() -> None:
    """A field that is new in the project gets the same type from the same values, whichever reads them."""
    with duckdb.connect() as con:

        @settings(max_examples=40 * WALKS, deadline=None)
        @given(MANY)
        def check(values: list[str]) -> None:
            columns = create_values(con, 1)
            insert(con, TABLE, [(str(place), value) for place, value in enumerate(values)], columns)
            (kind,) = types_of(con, {"Plan": "plan"}, {}, infer=False)
            members = Members({}, {}, [])
            fields = FieldSettings("salt", Vault([_KEY]), {"Plan": "plan"}, {})
            of_members = {str(place): {"Plan": value} for place, value in enumerate(values)}
            *_, note = add_fields(members, of_members, fields, UserIdField.MPID)
            assert note.endswith(f"plan ({kind.words}).")

        check()


_KEY = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("2020-01-02", "2020-01-02 00:00:00 +00:00"),
        ("2020-01-01T12:00+02:30", "2020-01-01 09:30:00 +00:00"),
        ("2020-01-01 23:59:59.9995", "2020-01-02 00:00:00 +00:00"),
        ("2020-02-30", None),
    ],
)
def test_dates(text: str, written: str | None) -> None:
    """A date is sent in UTC, which it is in unless it says otherwise. A day that does not exist is none."""
    assert date_text(text) == written


def test_json_is_written_as_by_duckdb() -> None:
    """Text has the same escapes, and numbers the same types."""
    assert quoted('\x1f\\u001f"\n') == '"\\u001F\\\\u001f\\"\\n"'
    assert [json_type(text) for text in ("1", "-1", "1.0", str(2**64), "[]", "{}", "true")] == [
        *("UBIGINT", "BIGINT", "DOUBLE", "DOUBLE", "ARRAY", "OBJECT", "BOOLEAN")
    ]


def test_a_member_with_several_wrong_values_is_rejected_once() -> None:
    """The explanation names the first field that can't take its value, and nothing is sent for the member."""
    members = Members({"1": Subscriber("a@example.com", "c1"), "2": Subscriber("b@example.com", None)}, {}, [])
    fields = FieldSettings("salt", Vault([_KEY]), {"A": "age", "B": "born"}, {"age": "long", "born": "date"})
    values = {"1": {"A": "tx", "B": "ty"}, "2": {"A": "t7"}, "3": {"A": "tz"}}
    add_fields(members, values, fields, UserIdField.CUSTOMER_ID)
    assert [(each.member_key, each.customer_id, each.reason, each.words) for each in members.rejected] == [
        (
            "1",
            "c1",
            "iterable_invalid_data",
            "Data field age: it has to be a whole number, and at most 32,766 bytes long.",
        )
    ]
    assert members.desired.keys() == {"2"}
    assert members.fields == {"2": '{"age":7}'}
