"""Cells of an audience, and the expected members."""

from dataclasses import dataclass

NULL_WORDS = ["NULL", "null", "\\N", "N/A", "n/a", "NA", "nan", "NaN", "None", "undefined", "(null)", "-", " null ", ""]

NO_BREAK_SPACE, ZERO_WIDTH_SPACE, BYTE_ORDER_MARK = "\u00a0", "\u200b", "\ufeff"
SOFT_HYPHEN, LEFT_TO_RIGHT_MARK, WORD_JOINER = "\u00ad", "\u200e", "\u2060"
INVISIBLE = [NO_BREAK_SPACE, ZERO_WIDTH_SPACE, BYTE_ORDER_MARK, SOFT_HYPHEN, LEFT_TO_RIGHT_MARK, WORD_JOINER]

#: Notations of ann@example.com by people and mail programs.
DECORATED = [
    "mailto:ann@example.com",
    "MAILTO:ann@example.com?subject=hi",
    "<ann@example.com>",
    "<mailto:ann@example.com>,",
    "'ann@example.com'",
    '"ann@example.com"',
    "\u201cann@example.com\u201d",
    "ann@example.com,",
    "ann@example.com;",
    "ann@example.com.",
    "Ann Example <ann@example.com>",
    '"Example, Ann" <ann@example.com>;',
    " ann@example.com\t",
    *(f"{sign}ann@example.com" for sign in INVISIBLE),
    *(f"ann@example.com{sign}" for sign in INVISIBLE),
    *(f"ann@exam{sign}ple.com" for sign in INVISIBLE),
]

#: Invalid addresses that can't be corrected by guessing.
INVALID = ["ann..b@example.com", "ann@example..com", "ann@example.com bob@example.com", "a@example.com,b@example.com"]

#: Customer ids after a spreadsheet or pandas has rewritten them.
REWRITTEN = ["1.23E+11", "1,23E+11", "1e+19", "-1.5E+12", "#N/A", "########", "#REF!"]


@dataclass(frozen=True)
class Table:
    """A plain table without mpids, and the expected counts of its sync."""

    name: str
    rows: list[tuple[str, str]]
    counts: dict[str, int]
    guards: tuple[str, ...] = ()


TABLES = [
    Table(
        "null-as-customer-id",
        [("a@example.com", "NULL"), ("b@example.com", "NULL"), ("c@example.com", "NULL"), ("d@example.com", "c4")],
        {"members": 4, "added": 4},
    ),
    Table(
        "customer-is-the-company",
        [
            ("ann@acme.example.com", "Acme Inc"),
            ("bob@acme.example.com", "Acme Inc"),
            ("cid@acme.example.com", "Acme Inc"),
            ("eve@other.example.com", "Other Ltd"),
        ],
        {"members": 4, "added": 2, "rejected": 2},
        ("shared_customer_id",),
    ),
    Table(
        "the-same-row-twice",
        [("a@example.com", "c1"), ("A@Example.com ", "c1"), ("b@example.com", "c2")],
        {"members": 2, "added": 2},
    ),
    Table(
        "one-address-under-two-customer-ids",
        [("ann@example.com", "c1"), ("\u200bann@example.com", "c1b")],
        {"members": 2, "added": 1, "duplicates": 1},
    ),
    Table(
        "zero-of-several",
        [("a@example.com", "0"), ("b@example.com", "0")],
        {"members": 2, "added": 2},
    ),
    Table("zero-of-one", [("a@example.com", "0")], {"members": 1, "added": 1}),
    Table(
        "a-row-without-an-email",
        [("a@example.com", "c1"), ("", "c1"), ("n/a", "c2")],
        {"members": 3, "added": 1, "rejected": 2},
    ),
    Table(
        "addresses-that-are-two",
        [(address, f"c{number}") for number, address in enumerate(INVALID)],
        {"members": 4, "rejected": 4},
    ),
]
