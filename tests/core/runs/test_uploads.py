"""Files that are uploaded to the HTTP API: how many and how large, and their removal."""

from pathlib import Path

import pytest

from core.errors import InputError
from core.runs import uploads
from core.runs.uploads import ContentTooLargeError, Upload, path_of

MIB = 1024**2


class Body:
    """A body of so many bytes, in one piece."""

    def __init__(self, size: int) -> None:
        self._left = b"x" * size

    async def read_chunk(self, size: int = 0) -> bytes:
        """Return all, and then nothing."""
        piece, self._left = self._left, b""
        return piece


async def test_files_of_an_upload(tmp_path: Path) -> None:
    """Two files of one name are kept, until the upload is removed. Removing it once more does no harm."""
    upload = Upload(tmp_path)
    await upload.save("audience.csv", Body(1))
    await upload.save("audience.csv", Body(2))
    assert [path_of(tmp_path, address).stat().st_size for address in upload.addresses] == [1, 2]
    upload.remove()
    upload.remove()
    with pytest.raises(InputError, match="The uploaded file is not there"):
        path_of(tmp_path, upload.addresses[0])


async def test_largest_upload(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All files of an upload together may have so many bytes, and the error says how many."""
    monkeypatch.setattr(uploads, "MAX_BYTES", 3 * MIB)
    upload = Upload(tmp_path)
    await upload.save("first.csv", Body(MIB))
    await upload.save("second.csv", Body(2 * MIB))
    with pytest.raises(ContentTooLargeError, match="An upload may have 3 MB"):
        await upload.save("third.csv", Body(1))


async def test_most_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An upload may have so many files, and the error says how many."""
    monkeypatch.setattr(uploads, "MAX_FILES", 2)
    upload = Upload(tmp_path)
    await upload.save("first.csv", Body(1))
    await upload.save("second.csv", Body(1))
    with pytest.raises(ContentTooLargeError, match="An upload may have 2 files"):
        await upload.save("third.csv", Body(1))
    assert len(upload.addresses) == 2


@pytest.mark.parametrize("address", ["upload:gone/0/audience.csv", "upload:../iterable-sync.db"])
def test_address_without_a_file(tmp_path: Path, address: str) -> None:
    """Only files in the folder of uploads have an address."""
    (tmp_path / "iterable-sync.db").touch()
    with pytest.raises(InputError, match="The uploaded file is not there"):
        path_of(tmp_path, address)
