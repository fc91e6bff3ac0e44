"""Files that are not audiences, recognized by their first bytes. The error names the format and says what to do."""

from core.sources.source_file import SourceFile

#: The first bytes of files that are refused, with the error.
NOT_READ = {
    b"%PDF": "is a PDF. Export the audience as CSV.",
    b"Obj\x01": "is an Avro file, which is not supported. Export it as Parquet, CSV or JSON.",
    b"ORC": "is an ORC file, which is not supported. Export it as Parquet, CSV or JSON.",
    b"\xd0\xcf\x11\xe0": "is an old Excel workbook (.xls). Save it as .xlsx or as CSV (UTF-8).",
    b"7z\xbc\xaf\x27\x1c": "is a 7z archive. Unpack it, and give the file inside.",
    b"Rar!": "is a RAR archive. Unpack it, and give the file inside.",
    b"SQLite format 3": "is a SQLite database. Export the table as CSV.",
    b"\x89PNG": "is a picture. Export the audience as CSV.",
    b"\xff\xd8\xff": "is a picture. Export the audience as CSV.",
    b"\x04\x22\x4d\x18": "is compressed with LZ4, which is not supported. Unpack it first.",
    b"\xff\x06\x00\x00sNaPpY": "is compressed with Snappy, which is not supported. Unpack it first.",
}


def refuse_unreadable(head: bytes, file: SourceFile) -> None:
    """Raise InputError if the first bytes of a file are those of a format that is not an audience."""
    for magic, message in NOT_READ.items():
        if head.startswith(magic):
            raise file.error(message)
    if head[257:262] == b"ustar":
        raise file.error("is a tar archive. Unpack it, and give the file inside, or the folder.")
    start = head[:4096].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<body", b"<script")):
        raise file.error(
            "is a web page, not an audience. It may be a sign-in page: sign in, and download the audience again."
        )
    if start.startswith((b"<?xml", b"<error")):
        is_refusal = b"<error" in start and (b"accessdenied" in start or b"access denied" in start)
        if is_refusal:
            raise file.error(
                "is the answer of a bucket that denied access, not an audience. Check the link, and fetch it again."
            )
        raise file.error("is XML, not an audience. It may be a bucket's error: check the link, and fetch it again.")
    if start.startswith(b"<"):
        raise file.error("is a web page or XML, not an audience. Download it again.")
