"""Files as programs export them: compressed, in parts, in other encodings, with lines above the header."""

import bz2
import gzip
import io
import lzma
import uuid
import zipfile
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.errors import AmbiguousColumnsError, InputError
from core.sources import SourceFormat
from tests.core.sources.conftest import Reading
from tests.core.sources.factories import change, download_csv, message

Refusal = Callable[..., InputError]

TABLE = "email,customer_id\na@example.com,c1\nb@example.com,c2\n"
PEOPLE = {"customer:c1": (None, True, "a@example.com", "c1"), "customer:c2": (None, True, "b@example.com", "c2")}
HALVES = [TABLE[: TABLE.index("b@")], "email,customer_id\n" + TABLE[TABLE.index("b@") :]]


def zstd(content: bytes) -> bytes:
    """Compress with zstd."""
    return bytes(pa.Codec("zstd").compress(content, asbytes=True))


COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstd,
}

#: The text of one table, in the formats of different programs.
TEXTS: dict[str, bytes] = {
    "plain": TABLE.encode(),
    "last line ends otherwise": TABLE.replace("\n", "\r\n").removesuffix("\r\n").encode() + b"\n",
    "first line ends otherwise": TABLE.encode().replace(b"\n", b"\r\n", 1),
    "CR CR LF": TABLE.replace("\n", "\r\r\n").encode(),
    "CR": TABLE.replace("\n", "\r").encode(),
    "UTF-16": TABLE.encode("utf-16"),
    "UTF-16 without a mark": TABLE.encode("utf-16-le"),
    "UTF-16 big-endian": TABLE.encode("utf-16-be"),
    "UTF-8 with a mark": TABLE.encode("utf-8-sig"),
    "CR in a cell": b"email,note,customer_id\na@example.com,x\ry,c1\nb@example.com,z,c2\n",
    "Windows-1252": "email,name,customer_id\na@example.com,José,c1\nb@example.com,x,c2\n".encode("cp1252"),
    "Windows-1252 far below": b"email,name,customer_id\na@example.com,x,c1\n"
    + b"b@example.com,x,c2\n" * 60_000
    + "b@example.com,José,c2\n".encode("cp1252"),
    "sep=": ("sep=;\r\n" + TABLE.replace(",", ";").replace("\n", "\r\n")).encode(),
    "a title and comments": ("Customer report\n# made by the CRM\n\n" + TABLE).encode(),
    "concatenated parts": ("\ufeff" + HALVES[0] + "\ufeff" + HALVES[1]).encode(),
    "PostgreSQL COPY": TABLE.replace(",", "\t").encode() + b"\\N\tc3\n",
    "Redshift UNLOAD": b"email|name|customer_id\na@example.com|x\\|y|c1\nb@example.com|z|c2\n",
    "Redshift UNLOAD with quotation marks": b'"email"|"customer_id"\n"a@example.com"|"c1"\n"b@example.com"|"c2"\n',
    "Snowflake": b'"EMAIL","CUSTOMER_ID"\n"a@example.com","c1"\n"b@example.com","c2"\n\\N,"c3"\n',
    "Excel": ("\ufeff" + TABLE.replace(",", ";").replace("\n", "\r\n") + ";;\r\n;;\r\n").encode(),
    "Excel's Unicode text": TABLE.replace(",", "\t").replace("\n", "\r\n").encode("utf-16"),
    "LibreOffice": b'"email","customer_id"\n"a@example.com","c1"\n"b@example.com","c2"\n',
    "pandas with an index": b",email,customer_id\n0,a@example.com,c1\n1,b@example.com,c2\n",
    "spaces around": b"email , customer_id\na@example.com , c1\nb@example.com , c2\n",
    "a comma too many": b"email,customer_id,\na@example.com,c1,\nb@example.com,c2,\n",
    "a line end in a cell": b'email,customer_id,note\na@example.com,c1,"x\ny"\nb@example.com,c2,"z"\n',
    "UTF-32": TABLE.encode("utf-32"),
    "lines above, and mixed line ends": b"Report\r\n\r\n" + TABLE.encode(),
    "lines above, and parts": ("# one\n" + HALVES[0] + "\ufeff" + HALVES[1]).encode(),
    "psql": b" email | customer_id \n-------+-------------\n a@example.com | c1\n b@example.com | c2\n(2 rows)\n\n",
    "sqlcmd": b"email,customer_id\n-----,-----------\na@example.com,c1\nb@example.com,c2\n\n(2 rows affected)\n",
    "SQL*Plus": b'"EMAIL","CUSTOMER_ID"\n"a@example.com","c1"\n"b@example.com","c2"\n\n2 rows selected.\n',
    "Markdown": b"| email | customer_id |\n|---|---|\n| a@example.com | c1 |\n| b@example.com | c2 |\n",
    "PostgreSQL COPY with its end": TABLE.replace(",", "\t").encode() + b"\\.\n",
    "Ctrl-Z": TABLE.encode() + b"\x1a",
    "JSON lines with CR LF and a mark": b'\xef\xbb\xbf{"email":"a@example.com","customer_id":"c1"}\r\n'
    b'{"email":"b@example.com","customer_id":"c2"}\r\n',
    "JSON lines": b'{"email":"a@example.com","customer_id":"c1"}\n{"customer_id":"c2","email":"b@example.com"}\n',
    "JSON array": b'[{"email":"a@example.com","customer_id":"c1"},\n {"email":"b@example.com","customer_id":"c2"}]',
    "JSON without nulls": b'{"customer_id":"c1","email":"a@example.com"}\n{"email":"b@example.com","customer_id":"c2"}',
}

#: Files that are not audiences, and words of the error.
RECOGNIZED: dict[bytes, str] = {
    b"<!DOCTYPE html><html><body>Sign in</body></html>": "is a web page",
    b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>': "a bucket that denied access",
    b"%PDF-1.7\n": "is a PDF",
    b"Obj\x01\x04": "is an Avro file",
    b"ORC\x08": "is an ORC file",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 64: "is an old Excel workbook (.xls)",
    b'<?xml version="1.0"?><Error><Code>NoSuchKey</Code></Error>': "is XML, not an audience",
    b"\n <!doctype html><title>Sign in</title>": "It may be a sign-in page",
    b"Please sign in to continue\n": "has no column with an identity",
    b'{"error":{"code":401,"message":"Invalid credentials"}}': "has no column with an identity, only error",
    b"a.csv".ljust(257, b"\0") + b"ustar\x0000" + b"\0" * 300: "is a tar archive",
    b"7z\xbc\xaf\x27\x1c\0\4": "is a 7z archive",
}


@pytest.mark.parametrize("content", TEXTS.values(), ids=TEXTS)
def test_texts(reading: Reading, content: bytes) -> None:
    """Each format gives the same table of two people."""
    _, profiles = reading(content)

    assert {name: profiles[name] for name in PEOPLE} == PEOPLE
    assert set(profiles) <= {*PEOPLE, "customer:c3"}


#: Rows below a table that are no people.
TOTALS: dict[str, bytes] = {
    "as email": TABLE.encode() + b"Total: 2,\n",
    "as customer id": b"customer_id,email\nc1,a@example.com\nc2,b@example.com\nTotal: 2,\n",
    "two totals": b"email,customer_id,sum\na@example.com,c1,3\nb@example.com,c2,4\nSubtotal,,7\nGrand Total,,7\n",
    "with a number as id": TABLE.encode() + b"Total,2\n",
    "JSON": TEXTS["JSON lines"] + b'{"email":"Total","customer_id":"2"}\n',
}


@pytest.mark.parametrize("content", TOTALS.values(), ids=TOTALS)
def test_a_total_is_not_a_member(reading: Reading, content: bytes) -> None:
    """A total below a table is no member, and a note says that it was ignored."""
    source, profiles = reading(content)

    assert (profiles, source.rows, source.merged_rows) == (PEOPLE, 2, 0)
    assert sum("a total or a line, and no person" in note for note in source.notes) == 1


def test_a_total_in_parquet(tmp_path: Path, reading: Reading) -> None:
    """A total at the end of a Parquet table is no member."""
    columns = {"email": ["a@example.com", "b@example.com", "Total"], "customer_id": ["c1", "c2", "2"]}
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")

    assert reading(tmp_path / "a.parquet")[1] == PEOPLE


def test_a_person_with_an_id_like_a_total(reading: Reading) -> None:
    """A row with an address is a person, whatever the id is, and so is a row further up."""
    ids = ["Total", *(f"c{number}" for number in range(9))]
    lines = [",Sum", *(f"p{number}@example.com,{each}" for number, each in enumerate(ids)), "z@example.com,Total: 2"]

    assert reading("\n".join(["email,customer_id", *lines]))[0].rows == 12


@pytest.mark.parametrize("compress", COMPRESS.values(), ids=COMPRESS)
@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
def test_compressed_files(reading: Reading, compress: Callable[[bytes], bytes], name: str) -> None:
    """Compressed files are recognized by content, even several in a row."""
    half = len(TABLE) // 2

    assert reading(compress(TABLE.encode()), name)[1] == PEOPLE
    assert reading(compress(TABLE[:half].encode()) + compress(TABLE[half:].encode()), name)[1] == PEOPLE


@pytest.mark.parametrize("compress", COMPRESS.values(), ids=COMPRESS)
def test_truncated_compressed_files(refusal: Refusal, compress: Callable[[bytes], bytes]) -> None:
    """A truncated compressed file is refused."""
    assert "it was cut off or damaged" in refusal(compress(TABLE.encode() * 50)[:-6]).message


@pytest.mark.parametrize("compress", COMPRESS.values(), ids=COMPRESS)
def test_compressed_bombs(refusal: Refusal, compress: Callable[[bytes], bytes]) -> None:
    """The limits of archives apply to compressed files."""
    assert "unpacks to far more data than an audience" in refusal(compress(b"0" * (20 << 20))).message


def test_compressed_several_times(refusal: Refusal) -> None:
    """A file that is compressed too many times is refused."""
    content = TABLE.encode()
    for _ in range(6):
        content = gzip.compress(content)

    assert "is compressed several times" in refusal(content).message


def test_a_zip_of_parts(tmp_path: Path, reading: Reading) -> None:
    """A ZIP may contain plain and compressed parts; marker files and lists are ignored."""
    with zipfile.ZipFile(tmp_path / "export.zip", "w") as archive:
        archive.writestr("part-0.csv.gz", gzip.compress(HALVES[0].encode()))
        archive.writestr("part-1.csv", HALVES[1])
        archive.writestr("_SUCCESS", "")
        archive.writestr("part-1.csv.crc", "x")
    source, profiles = reading(tmp_path / "export.zip")

    assert profiles == PEOPLE
    assert (source.rows, source.file_name) == (2, "export.zip")


def zip_of(members: dict[str, bytes]) -> bytes:
    """A ZIP with these files."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def test_a_zip_in_a_zip(reading: Reading) -> None:
    """Layers of compression and ZIPs may be combined in any order."""
    halves = {f"part-{number}.csv": half.encode() for number, half in enumerate(HALVES)}
    for content in (
        zip_of({"a.zip": zip_of(halves)}),
        gzip.compress(zip_of({"a.zip": zip_of(halves)})),
        zip_of({"a.zip": zip_of({"0": halves["part-0.csv"]}), "b.csv.gz": gzip.compress(halves["part-1.csv"])}),
    ):
        source, profiles = reading(content, "export.zip")
        assert (profiles, source.file_name) == (PEOPLE, "export.zip")


def test_a_download_in_a_zip(reading: Reading) -> None:
    """A download inside another ZIP is checked against its manifest."""
    name = "8754_PotentialParisians_172136Nov292018.csv"
    content = zip_of({"again.zip": zip_of({name: download_csv().encode(), "manifest.json": b"{}"})})

    assert reading(content, "again.zip")[0].audience_id == "8754"


def test_too_many_layers_of_zips(refusal: Refusal) -> None:
    """A ZIP with too many layers is refused."""
    content = TABLE.encode()
    for _ in range(8):
        content = zip_of({"a.zip": content, "b.csv": TABLE.encode()})

    assert "is packed several times" in refusal(content, "a.zip").message


def test_bombs_in_layers(refusal: Refusal) -> None:
    """A bomb is refused if each layer is within the limit, but all layers together are not."""
    parts = b"".join(gzip.compress(b"0" * (1 << 20)) for _ in range(64))
    layers = gzip.compress(gzip.compress(parts))

    assert len(parts) < 64 * 1100
    assert "unpacks to far more data than an audience" in refusal(layers).message
    assert "unpacks to far more data than an audience" in refusal(zip_of({"a.csv.gz": layers})).message


def test_a_folder_of_parts(tmp_path: Path, reading: Reading) -> None:
    """A folder of parts, as from Spark, Snowflake and Redshift, may have several formats."""
    folder = tmp_path / "export"
    folder.mkdir()
    (folder / "part-00000.csv").write_text(HALVES[0])
    (folder / "part-00001.json").write_text('{"email":"b@example.com","customer_id":"c2"}')
    (folder / "_SUCCESS").write_text("")
    (folder / "manifest").write_text("{}")
    source, profiles = reading(folder)

    assert profiles == PEOPLE
    assert (source.rows, source.merged_rows, source.file_name) == (2, 0, "export")


def test_parts_of_deltas(tmp_path: Path, reading: Reading) -> None:
    """The latest change of a profile counts, whichever file it is in."""
    (tmp_path / "parts").mkdir()
    name = "Low-Engagement_123_2020-07-08_00-16-14_{}.txt"
    (tmp_path / "parts" / name.format("b")).write_text(change(1, stamp=1, add=True))
    (tmp_path / "parts" / name.format("a")).write_text(change(1, stamp=2, add=False))
    source, profiles = reading(tmp_path / "parts")

    assert profiles == {"1": (1, False, None, None)}
    assert (source.audience_id, source.rows, source.merged_rows) == ("123", 2, 1)


def test_files_of_different_kinds(tmp_path: Path, refusal: Refusal) -> None:
    """Files of different kinds are refused, because they are not parts of one audience."""
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "a.csv").write_text(TABLE)
    (tmp_path / "parts" / "b.json").write_text(message())

    assert "is not of the same kind as a.csv" in refusal(tmp_path / "parts").message


def test_an_array_of_changes(reading: Reading) -> None:
    """An array of changes is read like consecutive objects."""
    source, profiles = reading(f"[{change(1)},{change(2, add=False)}]", "delta.json")

    assert (source.shape, {name: row[1] for name, row in profiles.items()}) == (
        SourceFormat.BUCKET,
        {"1": True, "2": False},
    )


@pytest.mark.parametrize("content", RECOGNIZED, ids=RECOGNIZED.values())
def test_recognized_file_types(refusal: Refusal, content: bytes) -> None:
    """The error for a file of another type names the type, and does not call the file damaged."""
    assert RECOGNIZED[content] in refusal(content).message


def workbook(path: Path, rows: list[list[object]]) -> Path:
    """A workbook with these rows on its second sheet."""
    book = openpyxl.Workbook()
    book.active.append(["nothing here"])
    sheet = book.create_sheet("People")
    for row in rows:
        sheet.append(row)
    book.save(path)
    return path


def test_a_sheet_of_a_workbook(tmp_path: Path, reading: Reading) -> None:
    """Numbers become ids without a decimal point, text stays text, and empty rows are ignored."""
    rows: list[list[object]] = [["email", "customer_id", "since"], ["a@example.com", 123, date(2020, 1, 1)]]
    rows += [[None, None, None], ["b@example.com", "00123", None]]
    source, profiles = reading(workbook(tmp_path / "a.xlsx", rows), sheet="people")

    assert set(profiles) == {"customer:123", "customer:00123"}
    assert source.rows == 2


def test_a_number_that_excel_truncated(tmp_path: Path, refusal: Refusal) -> None:
    """A number with more than 15 digits is refused, because Excel truncates it to another id."""
    path = workbook(tmp_path / "a.xlsx", [["email", "customer_id"], ["a@example.com", 1234567890123456789]])

    assert "Excel keeps no more" in refusal(path, sheet="People").message
    assert "has no sheet X" in refusal(path, sheet="X").message


def test_columns_can_be_chosen(reading: Reading, refusal: Refusal) -> None:
    """Columns can be chosen by name, and the notes list the used and the ignored ones."""
    text = "E-Mail,Email,Kunde\na@example.com,b@example.com,k1\n"

    assert isinstance(refusal(text), AmbiguousColumnsError)
    source, profiles = reading(text, columns={"email": "e-mail", "customer_id": "Kunde"})

    assert profiles == {"customer:k1": (None, True, "a@example.com", "k1")}
    assert source.notes == ("Columns used: E-Mail as email, Kunde as customer id. Ignored: Email.",)
    assert "has no column X, which was chosen for email" in refusal(text, columns={"email": "X"}).message


@pytest.mark.parametrize(
    ("ids", "profile"),
    [
        (pa.array([Decimal("5.000000000")], pa.decimal128(38, 9)), "5"),
        (pa.array([5.0]), "5"),
        (pa.array(["5"]).dictionary_encode(), "5"),
        (pa.array([b"5"]), "5"),
        (pa.array([5], pa.uint64()), "5"),
    ],
    ids=["decimal", "double", "dictionary", "binary", "unsigned"],
)
@pytest.mark.parametrize("column", ["mpid", "customer_id"])
def test_ids_in_parquet(tmp_path: Path, reading: Reading, ids: pa.Array, profile: str, column: str) -> None:
    """Ids are read from each exact type that warehouses use."""
    pq.write_table(pa.table({column: ids}), tmp_path / "a.parquet")

    assert list(reading(tmp_path / "a.parquet")[1]) == [profile if column == "mpid" else f"customer:{profile}"]


@pytest.mark.parametrize(
    "content",
    [
        'email,customer_id\na@example.com,"[1.0,2.0]"\n',
        "email,customer_id\na@example.com,[1.0]\n",
        '{"email":"a@example.com","customer_id":"[1.0,2.0]"}\n',
    ],
    ids=["csv", "one", "json"],
)
def test_lists_are_no_ids(refusal: Refusal, content: str) -> None:
    """A list in a cell is refused in text as it is in Parquet."""
    assert "the customer id is a list" in refusal(content).message


def test_lists_in_parquet(tmp_path: Path, refusal: Refusal) -> None:
    """A column of lists is refused."""
    pq.write_table(pa.table({"customer_id": [[1.0, 2.0]]}), tmp_path / "a.parquet")

    assert "several values in one cell" in refusal(tmp_path / "a.parquet").message


def test_uuids_in_parquet(tmp_path: Path, reading: Reading, refusal: Refusal) -> None:
    """UUIDs are read in their usual text form."""
    customer_id = uuid.UUID("0190b5a4-1c4e-7000-8000-00000000000a")
    pq.write_table(pa.table({"customer_id": pa.array([customer_id.bytes], pa.uuid())}), tmp_path / "a.parquet")

    assert list(reading(tmp_path / "a.parquet")[1]) == [f"customer:{customer_id}"]
    pq.write_table(pa.table({"customer_id": [customer_id.bytes]}), tmp_path / "a.parquet")
    assert "contains bytes that are not text" in refusal(tmp_path / "a.parquet").message


def test_a_download_in_a_folder(tmp_path: Path, reading: Reading) -> None:
    """An unpacked download is read, without its manifest."""
    (tmp_path / "unpacked").mkdir()
    (tmp_path / "unpacked" / "8754_PotentialParisians_172136Nov292018.csv").write_text(download_csv())
    (tmp_path / "unpacked" / "manifest.json").write_text("{}")

    assert reading(tmp_path / "unpacked")[0].audience_id == "8754"
