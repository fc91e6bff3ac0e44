"""What the database knows of a row before Python sees it: conditions in SQL, from the cheapest to the dearest.

Most rows are plain, so the first test is the one that counts: comparisons with constants cost a tenth of what a
function of the text costs, and a function a tenth of a regular expression. The rules are those of
core/raw_identity.py; no value passes these tests that cleaning would change.
"""

import re
from enum import IntFlag

from core.raw_identity import NULL_WORDS, REWRITTEN_ID_PATTERN
from core.sources.sql_expressions import literal
from core.sources.staged_rows import EMAIL, LONGEST_IDENTITY, OTHER


class RowFlag(IntFlag):
    """What is known of a row on the stage."""

    SUSPICIOUS = 1
    """It may be one that no audience has."""
    IRREGULAR = 2
    """An identity of it has to be cleaned."""
    NULL_ID = 4
    """A word for "nothing" stood for its customer id."""
    NULL_EMAIL = 8
    """Likewise for its email."""
    CLEANED = 16
    """More than white space was taken off its email."""
    DECIMAL_ID = 32
    """Its customer id ends with `.0`."""
    ZERO_ID = 64
    """Its customer id is 0."""
    NULL_MPID = 128
    """Its mpid is 0, or a word for "nothing"."""


# A pattern, and not IN: of so many words DuckDB makes a table, and joins every row with it.
_WORDS = literal("|".join(map(re.escape, NULL_WORDS)))
_LONGEST_WORD = max(map(len, NULL_WORDS))
#: Nothing but a word for "nothing".
IS_WORD = f"(strlen({{0}}) <= {_LONGEST_WORD} AND {{0}} NOT BETWEEN '0' AND ':' AND regexp_full_match(lower({{0}}), {_WORDS}))"
# No word, as none begins with a digit; not too long; and ASCII without a NUL byte.
_PLAIN = (
    f"strlen({{0}}) <= {LONGEST_IDENTITY}",
    "strlen({0}) = length({0})",
    "NOT contains({0}, chr(0))",
)
#: An email to which cleaning would do nothing: ASCII from a letter or a digit to a letter.
PLAIN_EMAIL = " AND ".join(
    (
        "{0} BETWEEN '0' AND '{{'",
        "{0} NOT BETWEEN ':' AND 'A'",
        "{0} NOT BETWEEN '[' AND 'a'",
        f"strlen({{0}}) > {_LONGEST_WORD}",
        "NOT (({0} BETWEEN 'm' AND 'n' OR {0} BETWEEN 'M' AND 'N') AND contains({0}, ':'))",  # mailto:
        *_PLAIN,
        "({0}[-1] BETWEEN 'a' AND 'z' OR {0}[-1] BETWEEN 'A' AND 'Z')",
    )
)
#: A customer id of which there is nothing to be known: ASCII, not marked as text, not rewritten, not 0.
PLAIN_ID = " AND ".join(
    (
        "{0} BETWEEN '$' AND '~'",
        "{0} NOT BETWEEN '''' AND '('",
        "{0} NOT BETWEEN '=' AND '>'",
        "({0} >= ':' OR NOT (contains({0}, '+') OR contains({0}, '.') OR {0} = '0'))",
        f"({{0}} BETWEEN '0' AND ':' OR strlen({{0}}) > {_LONGEST_WORD} OR NOT {IS_WORD})",
        *_PLAIN,
        "{0}[-1] > ' '",
    )
)
_IRREGULAR_EMAIL = f"({{0}} IS NOT NULL AND NOT ({PLAIN_EMAIL}) AND NOT {IS_WORD})"
_IRREGULAR_ID = f"({{0}} IS NOT NULL AND NOT ({PLAIN_ID}) AND NOT {IS_WORD})"
#: There is something in the place of the mpid, and it means that there is none.
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
_SUSPICIOUS = " OR ".join(
    (
        f"(mpid IS NOT NULL AND {_NO_NUMBER})",
        "member IS NULL",
        "unreadable",
        *(f"contains({name}, chr(0)) OR strlen({name}) > {LONGEST_IDENTITY}" for name in ("email", "customer_id")),
        REWRITTEN_ID.format("customer_id"),
        *(f"strlen({name}) > {LONGEST_IDENTITY}" for name in ("label", "name")),
    )
)
_SUSPICIOUS_LONG = (
    f"({_NO_NUMBER}) OR contains(value, chr(0)) "
    f"OR strlen(value) > {LONGEST_IDENTITY} OR strlen(label) > {LONGEST_IDENTITY} "
    f"OR (kind > {EMAIL} AND {REWRITTEN_ID.format('value')})"
)


def flags_of_row(*, is_long: bool) -> str:
    """What is to be known of a row, as an expression that is a sum of RowFlag."""
    if is_long:
        email, customer_id = f"if(kind = {EMAIL}, value, NULL)", f"if(kind > {EMAIL}, value, NULL)"
        plain, suspicious = _PLAIN_ROW_LONG, _SUSPICIOUS_LONG
    else:
        email, customer_id, plain, suspicious = "email", "customer_id", _PLAIN_ROW, _SUSPICIOUS
    tests = {
        RowFlag.SUSPICIOUS: suspicious,
        RowFlag.IRREGULAR: f"{_IRREGULAR_EMAIL.format(email)} OR {_IRREGULAR_ID.format(customer_id)}",
        RowFlag.NULL_ID: IS_WORD.format(customer_id),
        RowFlag.NULL_EMAIL: IS_WORD.format(email),
        RowFlag.DECIMAL_ID: f"suffix({customer_id}, '.0')",
        RowFlag.ZERO_ID: f"{customer_id} = '0'",
        RowFlag.NULL_MPID: NO_MPID.format("mpid"),
    }
    flags = " | ".join(f"CASE WHEN {test} THEN {flag.value} ELSE 0 END" for flag, test in tests.items())
    return f"CASE WHEN {plain} THEN 0 ELSE {flags} END"
