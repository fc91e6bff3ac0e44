"""A file of rejections executes nothing in a spreadsheet, whatever the audience contained."""

import asyncio
import csv
import io
import re
import unicodedata
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.cli import rejected_csv
from core.reporting.rejected_csv import CSV_HEADER, csv_row
from core.store.rejections import Rejection
from tests.examples import examples

SIGNS = "=+-@＝＋－＠"
SEPARATORS = ',;|\t\r\n"'
TEXT = st.text(st.sampled_from([*SIGNS, *SEPARATORS, " ", "\0", "\x0b", "\ufeff", "\u200b", "\u3000", "'", "a", "1"]))

quick = settings(max_examples=examples(300), deadline=None, derandomize=True)


def is_formula(cell: str) -> bool:
    """Whether a spreadsheet may take a cell for a formula, by its first visible letter."""
    visible = [letter for letter in cell if not letter.isspace() and unicodedata.category(letter) not in ("Cc", "Cf")]
    return bool(visible) and visible[0] in SIGNS and not re.fullmatch(r"-[0-9]+", cell)


@quick
@given(cell=TEXT)
def test_no_cell_is_a_formula(cell: str) -> None:
    """No cell is a formula, whatever invisible letters precede its sign."""
    row = csv_row(Rejection(cell, cell, cell, "no_email"))

    assert not any(is_formula(each) for each in row)


@quick
@given(cell=TEXT)
def test_no_part_of_a_cell_is_a_formula(cell: str) -> None:
    """No part of a cell is a formula, for a spreadsheet with another separator or without quotation marks."""
    safe = csv_row(Rejection(None, cell, None, "no_email"))[1].lstrip("'\t\r\n")
    parts = re.split(f"[{SEPARATORS}]", safe)[1:]

    assert not any(is_formula(part) and not re.fullmatch(r"-[0-9]+", cell) for part in parts)


@quick
@given(cell=TEXT)
def test_only_apostrophes_are_added(cell: str) -> None:
    """A cell is unchanged except for added apostrophes."""
    assert csv_row(Rejection(cell, None, None, "no_email"))[0].replace("'", "") == cell.replace("'", "")


@pytest.mark.parametrize(
    ("cell", "safe"),
    [
        ("\ufeff=1", "'\ufeff=1"),
        (" =1", "' =1"),
        ("\u3000＝1", "'\u3000＝1"),
        ("＠SUM(A1)", "'＠SUM(A1)"),
        ("\0=1", "'\0=1"),
        ("a;=1", "a;'=1"),
        (";=1", ";'=1"),
        ('a;"=1', "a;\"'=1"),
        ("a\n=1", "a\n'=1"),
        ("\t=1;=2", "'\t=1;'=2"),
        ("-5;=1", "'-5;'=1"),
        ("-5\n", "'-5\n"),
        ("-٣", "'-٣"),
        ("m.hyde+news@example.com", "m.hyde+news@example.com"),
        ("customer:=1", "customer:=1"),
        ("-1327484737295091692", "'-1327484737295091692"),
        ("-132748", "-132748"),
        ("00123", "'00123"),
    ],
)
def test_cells(cell: str, safe: str) -> None:
    """An apostrophe precedes each possible formula, and nothing else."""
    assert csv_row(Rejection(None, cell, None, "no_email"))[1] == safe


def test_the_file_has_every_cell_in_quotation_marks(tmp_path: Path) -> None:
    """Every cell is in quotation marks, so that no spreadsheet splits it at semicolons or tabs."""
    rejections = [Rejection("1", 'a;b\t"c\n', "=1+1", "invalid_email")]

    async def rejected() -> AsyncIterator[Rejection]:
        for each in rejections:
            yield each

    asyncio.run(rejected_csv.write(tmp_path / "rejects.csv", rejected()))

    text = (tmp_path / "rejects.csv").read_bytes().decode("utf-8-sig")
    assert text.startswith(
        '"profile","email","customer_id","reason","what_it_means","what_to_do","mpid"\r\n"1","a;b\t""c\n","\'=1+1",'
    )
    assert list(csv.reader(io.StringIO(text, newline=""))) == [list(CSV_HEADER), list(csv_row(rejections[0]))]
