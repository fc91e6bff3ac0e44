"""The flags of a row, as conditions in SQL.

Most rows are plain, so the first test takes most of the time: one regular expression for each identity, which costs as
much as six comparisons with constants. The rules are in core/sources/raw_identity.py; cleaning would not change a value
that passes these tests.
"""

import re
from enum import IntFlag

from core.sources.raw_identity import NULL_WORDS, REWRITTEN_ID_PATTERN
from core.sources.sql_expressions import literal
from core.sources.staged_rows import EMAIL, LONGEST_IDENTITY, OTHER


class RowFlag(IntFlag):
    """Flags of a row on the stage."""

    SUSPICIOUS = 1
    """It may have a fault."""
    IRREGULAR = 2
    """One of its identities has to be cleaned."""
    NULL_ID = 4
    """Its customer id was a word for "nothing"."""
    NULL_EMAIL = 8
    """Its email was a word for "nothing"."""
    CLEANED = 16
    """More than white space was removed from its email."""
    DECIMAL_ID = 32
    """Its customer id ends with `.0`."""
    ZERO_ID = 64
    """Its customer id is 0."""
    NULL_MPID = 128
    """Its mpid is 0, or a word for "nothing"."""


# A pattern, and not IN: of so many words DuckDB makes a table, and joins every row with it.
_WORDS = literal("|".join(map(re.escape, NULL_WORDS)))
#: The length of the longest of these words.
LONGEST_WORD = max(map(len, NULL_WORDS))


def _in_format(text: str) -> str:
    """Return a text as a part of a template of `str.format`."""
    return text.replace("{", "{{").replace("}", "}}")


#: The value is a word for "nothing".
IS_WORD = (
    f"(strlen({{0}}) <= {LONGEST_WORD} AND {{0}} NOT BETWEEN '0' AND ':' AND regexp_full_match(lower({{0}}), {_WORDS}))"
)
# Comparisons, lengths and searches for one sign: together they take a third of a regular expression. DuckDB evaluates
# CASE faster than OR.
_IS_TEXT = "length({0}) = strlen({0}) AND NOT contains({0}, chr(0))"  # ASCII without NUL
_LAST = "substr({0}, strlen({0}), 1)"
_BEGINS_WITH_LOWER, _BEGINS_WITH_CAPITAL = "{0} BETWEEN 'a' AND '{{'", "{0} BETWEEN 'A' AND '['"
_BEGINS_WITH_DIGIT = "{0} BETWEEN '0' AND ':'"
# The words that begin with a letter begin with n or u.
_IS_NO_WORD = (
    f"(strlen({{0}}) > {LONGEST_WORD} OR NOT ({{0}} BETWEEN 'n' AND 'o' OR {{0}} BETWEEN 'N' AND 'O' "
    "OR {0} BETWEEN 'u' AND 'v' OR {0} BETWEEN 'U' AND 'V'))"
)
_QUICK_TEXT = f"{_IS_TEXT} AND strlen({{0}}) <= {LONGEST_IDENTITY}"
_QUICK_EMAIL = (
    f"(strlen({{0}}) > {LONGEST_WORD} AND {_LAST} BETWEEN 'a' AND 'z' "
    f"AND NOT contains({{0}}, '<') AND NOT contains({{0}}, ':') AND CASE WHEN {_BEGINS_WITH_LOWER} THEN true "
    f"WHEN {_BEGINS_WITH_CAPITAL} THEN true ELSE {_BEGINS_WITH_DIGIT} END)"
)
_QUICK_ID = (
    f"({_LAST} > ' ' AND CASE WHEN {_BEGINS_WITH_LOWER} THEN {_IS_NO_WORD} WHEN {_BEGINS_WITH_DIGIT} "
    "THEN {0} <> '0' AND NOT contains({0}, '+') AND NOT contains({0}, '.') "
    f"WHEN {_BEGINS_WITH_CAPITAL} THEN {_IS_NO_WORD} ELSE false END)"
)
#: An email, and a customer id, that is surely plain. Some plain ones don't pass these quick tests.
QUICK_EMAIL, QUICK_ID = (f"({_QUICK_TEXT} AND {test})" for test in (_QUICK_EMAIL, _QUICK_ID))
#: An email that cleaning would not change is ASCII from a letter or digit to a letter, and no word: it is longer than
#: any word, or has an @. (This pattern and the next mean the same in RE2 and Python.)
PLAIN_EMAIL_PATTERN = "[0-9A-Za-z][!-9;=?-~]*[A-Za-z]"
PLAIN_EMAIL = (
    f"(strlen({{0}}) <= {LONGEST_IDENTITY} AND (strlen({{0}}) > {LONGEST_WORD} OR contains({{0}}, '@')) "
    f"AND regexp_full_match({{0}}, '{PLAIN_EMAIL_PATTERN}'))"
)
#: A customer id that needs neither cleaning nor a flag is ASCII, no word, not marked as text, not rewritten, and not 0.
#: (No word contains a digit.)
PLAIN_ID_PATTERN = (
    rf"[0-9][ -*,\-/-~]*[!-*,\-/-~]|[0-9]|[$-&*,./A-Z\\^_a-z{{|}}~]([ -~]{{{LONGEST_WORD - 1},}}[!-~]|"
    r"[ -~]*[0-9]|[ -~]*[0-9][ -~]*[!-~])|[A-MO-TV-Za-mo-tv-z]([ -~]*[!-~])?"
)
PLAIN_ID = (
    f"(strlen({{0}}) <= {LONGEST_IDENTITY} AND {{0}} <> '0' AND regexp_full_match({{0}}, "
    f"'{_in_format(PLAIN_ID_PATTERN)}'))"
)
#: A value that means that there is no mpid.
NO_MPID = f"(TRY_CAST({{0}} AS BIGINT) = 0 OR trim({{0}}) <> '' AND regexp_full_match(lower(trim({{0}})), {_WORDS}))"
#: A list, as programs write one into a cell.
LIST_ID = "({0} BETWEEN '[' AND '\\' AND suffix({0}, ']'))"
REWRITTEN_ID = (
    "((contains({0}, '+') OR {0} BETWEEN '#' AND '$') AND "
    f"regexp_full_match(trim({{0}}), {_in_format(literal(REWRITTEN_ID_PATTERN))}))"
)

# `number` is the mpid as a number. Most mpids have 19 digits: other spellings of such a number are longer, or have an
# exponent. That is tested in half the time that it takes to write the number again.
_LONG_NUMBER = 10**18
_IS_NOT_EXPONENT = "NOT contains(mpid, 'e') AND NOT contains(mpid, 'E')"
_PLAIN_MPID = (
    f"CASE WHEN number >= {_LONG_NUMBER} THEN strlen(mpid) = 19 AND {_IS_NOT_EXPONENT} "
    f"WHEN number <= -{_LONG_NUMBER} THEN strlen(mpid) = 20 AND {_IS_NOT_EXPONENT} "
    "ELSE number <> 0 AND number::VARCHAR = mpid END"
)


def _plain_row(email: str, customer_id: str) -> str:
    return " AND ".join(
        (
            "member IS NOT NULL",
            "NOT unreadable",
            f"(mpid IS NULL OR ({_PLAIN_MPID}))",
            f"(email IS NULL OR ({email.format('email')}))",
            f"(customer_id IS NULL OR ({customer_id.format('customer_id')}))",
            *(f"({name} IS NULL OR strlen({name}) <= {LONGEST_IDENTITY})" for name in ("label", "name")),
        )
    )


def _plain_row_long(email: str, customer_id: str, text: str = "true") -> str:
    return (
        f"{_PLAIN_MPID} AND {text.format('value')} AND strlen(label) <= {LONGEST_IDENTITY} "
        f"AND CASE kind WHEN {OTHER} THEN true "
        f"WHEN {EMAIL} THEN {email.format('value')} ELSE {customer_id.format('value')} END"
    )


# Cheaper tests than those for faults (row_faults.py) that no faulty row passes: every mpid that DuckDB wouldn't write
# in the same way. NUL bytes in what rows are counted by are looked for in the counts.
_NO_NUMBER = f"(number::VARCHAR = trim(mpid)) IS NOT TRUE AND {NO_MPID.format('mpid')} IS NOT TRUE"
_SUSPICIOUS = f"(mpid IS NOT NULL AND {_NO_NUMBER}) OR member IS NULL OR unreadable OR " + " OR ".join(
    f"strlen({name}) > {LONGEST_IDENTITY}" for name in ("email", "customer_id", "label", "name")
)
_SUSPICIOUS_LONG = f"({_NO_NUMBER}) OR strlen(value) > {LONGEST_IDENTITY} OR strlen(label) > {LONGEST_IDENTITY}"


def first_flags(*, is_long: bool) -> str:
    """Return the expression of a row's flags in the first pass, a sum of RowFlag.

    Here `IRREGULAR` means that the identities are not plain. DuckDB takes milliseconds to plan the tests that say more,
    and most files don't need them.
    """
    plain_row, suspicious = (_plain_row_long, _SUSPICIOUS_LONG) if is_long else (_plain_row, _SUSPICIOUS)
    # on rows of one identity, what all of them have to be is tested before their kinds are distinguished
    quick_long = _plain_row_long(_QUICK_EMAIL, _QUICK_ID, _QUICK_TEXT)
    tests = {RowFlag.SUSPICIOUS: suspicious, RowFlag.NULL_MPID: NO_MPID.format("mpid")}
    quick = quick_long if is_long else plain_row(QUICK_EMAIL, QUICK_ID)
    plain = plain_row(PLAIN_EMAIL, PLAIN_ID)
    return f"CASE WHEN {quick} THEN 0 WHEN {plain} THEN 0 ELSE {RowFlag.IRREGULAR.value} | {_sum(tests)} END"


def identity_flags(email: str, customer_id: str) -> str:
    """Return the expression of the flags of these two identities, which are expressions: a sum of RowFlag."""
    irregular = (
        f"({value} IS NOT NULL AND NOT ({plain.format(value)}) AND NOT {IS_WORD.format(value)} AND trim({value}) <> '')"
        for value, plain in ((email, PLAIN_EMAIL), (customer_id, PLAIN_ID))
    )
    tests = {
        RowFlag.SUSPICIOUS: f"contains({email}, chr(0)) OR contains({customer_id}, chr(0)) "
        f"OR {REWRITTEN_ID.format(customer_id)} OR {LIST_ID.format(customer_id)}",
        RowFlag.IRREGULAR: " OR ".join(irregular),
        RowFlag.NULL_ID: IS_WORD.format(customer_id),
        RowFlag.NULL_EMAIL: IS_WORD.format(email),
        RowFlag.DECIMAL_ID: f"suffix({customer_id}, '.0')",
        RowFlag.ZERO_ID: f"{customer_id} = '0'",
    }
    return _sum(tests)


def _sum(tests: dict[RowFlag, str]) -> str:
    return " | ".join(f"CASE WHEN {test} THEN {flag.value} ELSE 0 END" for flag, test in tests.items())
