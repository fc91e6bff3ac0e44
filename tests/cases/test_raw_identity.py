"""Cleaning of identities: the rules in Python, and the database's cheap checks that skip most rows."""

import re
import sys
import unicodedata

import duckdb
from hypothesis import example, given
from hypothesis import strategies as st

from core.sources.raw_identity import INVISIBLE, REWRITTEN_ID_PATTERN, clean_customer_id, clean_email
from core.sources.row_flags import PLAIN_EMAIL, PLAIN_ID, QUICK_EMAIL, QUICK_ID
from tests.cases.identities import DECORATED, INVALID, NULL_WORDS

PIECES = [*DECORATED, *INVALID, *NULL_WORDS, "a", "Z", "0", ".", "@", "<", ">", "'", '"', ",", ";", "=", " ", "\t", "é"]
VALUES = st.lists(st.sampled_from(PIECES) | st.characters(exclude_categories=["Cs"]), max_size=4).map("".join)


def test_invisible_characters_are_those_of_unicode() -> None:
    """The invisible characters are the Unicode categories Z and Cf, except the plain space."""
    expected = {
        chr(code)
        for code in range(sys.maxunicode + 1)
        if unicodedata.category(chr(code)) in ("Zs", "Zl", "Zp", "Cf") and chr(code) != " "
    }
    newer = {character for character in map(chr, range(sys.maxunicode + 1)) if INVISIBLE.match(character)} - expected

    assert all(INVISIBLE.match(character) for character in expected)
    assert {unicodedata.category(character) for character in newer} <= {"Cn"}  # in a later Unicode than Python's


@given(value=VALUES)
@example(value=";mailto:ann@example.com")
@example(value="[ann@example.com")
@example(value="1,2E+11")
@example(value="ann@example.com.")
def test_the_database_skips_only_clean_values(value: str) -> None:
    """A value that the database considers plain is unchanged by cleaning."""
    value = value.replace("\0", "")
    with duckdb.connect() as con:
        tests = ", ".join(test.format("v") for test in (PLAIN_EMAIL, QUICK_EMAIL, PLAIN_ID, QUICK_ID))
        *email_tests, plain_id, quick_id = con.execute(
            f"SELECT {tests} FROM (SELECT $v AS v)", {"v": value}
        ).fetchall()[0]

    assert not any(email_tests) or clean_email(value) == value
    assert not (plain_id or quick_id) or clean_customer_id(value) == value
    is_rewritten = re.fullmatch(REWRITTEN_ID_PATTERN, value.strip()) or value == "0"
    assert not (is_rewritten and (plain_id or quick_id))
