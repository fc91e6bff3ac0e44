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
_LONGEST_WORD = max(map(len, NULL_WORDS))
#: The value is a word for "nothing".
IS_WORD = (
    f"(strlen({{0}}) <= {_LONGEST_WORD} AND {{0}} NOT BETWEEN '0' AND ':' "
    f"AND regexp_full_match(lower({{0}}), {_WORDS}))"
)
#: An email that cleaning would not change: ASCII from a letter or digit to a letter, and too long for a word.
PLAIN_EMAIL = (
    f"(strlen({{0}}) BETWEEN {_LONGEST_WORD + 1} AND {LONGEST_IDENTITY} "
    "AND regexp_full_match({0}, '[0-9A-Za-z][!-9;=?-~]*[A-Za-z]'))"
)
#: A customer id that needs neither cleaning nor a flag: ASCII, no word, not marked as text, not rewritten, not 0.
PLAIN_ID = (
    f"(strlen({{0}}) <= {LONGEST_IDENTITY} AND {{0}} <> '0' AND regexp_full_match({{0}}, "
    rf"'[0-9][ -*,\-/-~]*[!-*,\-/-~]|[0-9]|[$-&*,./A-Z\\^_a-z{{{{|}}}}~][ -~]{{{{{_LONGEST_WORD - 1},}}}}[!-~]'))"
)
#: A value that means that there is no mpid.
NO_MPID = f"(TRY_CAST({{0}} AS BIGINT) = 0 OR trim({{0}}) <> '' AND regexp_full_match(lower(trim({{0}})), {_WORDS}))"
REWRITTEN_ID = (
    "((contains({0}, '+') OR {0} BETWEEN '#' AND '$') AND "
    f"regexp_full_match(trim({{0}}), {literal(REWRITTEN_ID_PATTERN).replace('{', '{{').replace('}', '}}')}))"
)

# `number` is the mpid as a number.
_PLAIN_MPID = "number <> 0 AND number::VARCHAR = mpid"
_PLAIN_ROW = " AND ".join(
    (
        "member IS NOT NULL",
        "NOT unreadable",
        f"(mpid IS NULL OR ({_PLAIN_MPID}))",
        f"(email IS NULL OR ({PLAIN_EMAIL.format('email')}))",
        f"(customer_id IS NULL OR ({PLAIN_ID.format('customer_id')}))",
        *(f"({name} IS NULL OR strlen({name}) <= {LONGEST_IDENTITY})" for name in ("label", "name")),
    )
)
_PLAIN_ROW_LONG = (
    f"{_PLAIN_MPID} AND strlen(label) <= {LONGEST_IDENTITY} AND (kind = {OTHER} "
    f"OR (kind = {EMAIL} AND {PLAIN_EMAIL.format('value')}) OR (kind > {EMAIL} AND {PLAIN_ID.format('value')}))"
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
    plain, suspicious = (_PLAIN_ROW_LONG, _SUSPICIOUS_LONG) if is_long else (_PLAIN_ROW, _SUSPICIOUS)
    tests = {RowFlag.SUSPICIOUS: suspicious, RowFlag.NULL_MPID: NO_MPID.format("mpid")}
    return f"CASE WHEN {plain} THEN 0 ELSE {RowFlag.IRREGULAR.value} | {_sum(tests)} END"


def identity_flags(email: str, customer_id: str) -> str:
    """Return the expression of the flags of these two identities, which are expressions: a sum of RowFlag."""
    irregular = (
        f"({value} IS NOT NULL AND NOT ({plain.format(value)}) AND NOT {IS_WORD.format(value)} AND trim({value}) <> '')"
        for value, plain in ((email, PLAIN_EMAIL), (customer_id, PLAIN_ID))
    )
    tests = {
        RowFlag.SUSPICIOUS: f"contains({email}, chr(0)) OR contains({customer_id}, chr(0)) "
        f"OR {REWRITTEN_ID.format(customer_id)}",
        RowFlag.IRREGULAR: " OR ".join(irregular),
        RowFlag.NULL_ID: IS_WORD.format(customer_id),
        RowFlag.NULL_EMAIL: IS_WORD.format(email),
        RowFlag.DECIMAL_ID: f"suffix({customer_id}, '.0')",
        RowFlag.ZERO_ID: f"{customer_id} = '0'",
    }
    return _sum(tests)


def _sum(tests: dict[RowFlag, str]) -> str:
    return " | ".join(f"CASE WHEN {test} THEN {flag.value} ELSE 0 END" for flag, test in tests.items())
