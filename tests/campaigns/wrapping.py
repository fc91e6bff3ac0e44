"""Conversion of a fuzzer's input to a file, and the initial samples.

The first byte selects the wrapping: plain, as the CSV in a ZIP, or as the manifest and the CSV of a download. A fuzzer
that had to produce the checksums of a ZIP would never get past them.
"""

import io
import json
import zipfile
from collections.abc import Callable

import pyarrow as pa
import pyarrow.parquet as pq

from tests.core.sources.factories import CSV_NAME, HYDE, JEKYLL, UTTERSON, change, download_csv, manifest, message

PLAIN, BUCKET, ZIPPED, MANIFEST, MEMBERS = range(5)
# Separates the parts of an input that becomes several members of a ZIP.
SPLIT = b"\n----\n"
ROWS = [HYDE, JEKYLL, UTTERSON]


def wrap(data: bytes) -> tuple[str, bytes]:
    """The name and the content of the file for an input."""
    wrapper, content = (data[0] % 5, data[1:]) if data else (PLAIN, b"")
    first, _, second = content.partition(SPLIT)
    if wrapper == BUCKET:
        return "Low-Engagement_123_2020-07-08_00-16-14_c9a2.txt", content
    if wrapper == ZIPPED:
        return "file", _zip({CSV_NAME: content})
    if wrapper == MANIFEST:
        return "file.zip", _zip({"manifest.json": first, CSV_NAME: second})
    if wrapper == MEMBERS:
        name = first.decode("utf-8", "replace").replace("\0", "")[:200] or "x"
        return "file.zip", _zip({name: second, CSV_NAME: download_csv(ROWS).encode()})
    return "file", content


def seeds() -> list[bytes]:
    """A file of each format, in each wrapping that fits it."""
    csv = download_csv(ROWS).encode()
    manifest_content = json.dumps(manifest({CSV_NAME: ROWS})).encode()
    deltas = [
        "\n".join([change(), change(2, add=False, email="a@example.com", customer_id="c")]).encode(),
        (message() + message("x", None, member=False)).encode(),
    ]
    tables = [
        b"email,mpid,customer_id\na@example.com,1,x\nb@example.com,,\n",
        b"audienceid;audiencename;customerid;email;mpid;isadd;timestamp\n1;A;c;a@example.com;5;true;2020-01-01 00:00:00\n",
        b'email\t"user id"\n"a@example.com"\t"x ""y"""\n',
    ]
    texts = [csv, download_csv(ROWS, ",").encode(), *tables]
    return [
        *(
            bytes([PLAIN]) + text
            for text in [*texts, *deltas, *_parquets(), _zip({"manifest.json": manifest_content, CSV_NAME: csv})]
        ),
        *(bytes([BUCKET]) + text for text in deltas),
        *(bytes([ZIPPED]) + text for text in texts),
        bytes([MANIFEST]) + manifest_content + SPLIT + csv,
        bytes([MEMBERS]) + b"folder/manifest.json" + SPLIT + manifest_content,
    ]


def _parquets() -> list[bytes]:
    columns: list[dict[str, object]] = [
        {"email": ["a@example.com", None], "mpid": pa.array([1, None], pa.int64())},
        {"customer_id": ["x"], "isadd": [True], "timestamp": pa.array([1594167374230], pa.timestamp("ms"))},
    ]
    return [_parquet(pa.table(table)) for table in columns]


def _parquet(table: pa.Table) -> bytes:
    stream = io.BytesIO()
    write: Callable[..., None] = pq.write_table
    write(table, stream, compression="none")
    return stream.getvalue()


def _zip(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()
