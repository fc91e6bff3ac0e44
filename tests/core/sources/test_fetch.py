"""Fetching the parts of an audience from a bucket."""

from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from core.errors import InputError
from core.sources import fetch
from core.sources.download_progress import DownloadProgress, download_progress, expect


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[fsspec.AbstractFileSystem]:
    """A bucket in memory, by fsspec."""
    monkeypatch.setitem(fetch.BUCKETS, "memory", "s3")
    files = fsspec.filesystem("memory")
    for name in ("part-0.csv", "part-1.csv", "_SUCCESS", "manifest.json", "sub/part-2.csv", "other.txt"):
        files.pipe(f"/b/exports/{name}", name.encode())
    yield files
    files.rm("/b", recursive=True)


async def test_a_prefix_and_a_pattern(tmp_path: Path, bucket: fsspec.AbstractFileSystem) -> None:
    """All parts below a prefix, or matching a pattern, are fetched, except marker files and lists of files."""
    names = {}
    addresses = ["memory://b/exports/", "memory://b/exports/part-*.csv", "memory://b/exports/other.txt"]
    async with fetch.fetch_files(addresses, tmp_path / "run", {}) as paths:
        for address, path in zip(addresses, paths, strict=True):
            files = path.rglob("*") if path.is_dir() else [path]
            names[address] = sorted(each.name for each in files if each.is_file())
        assert download_progress(tmp_path / "run") is None

    assert names == {
        addresses[0]: ["other.txt", "part-0.csv", "part-1.csv", "part-2.csv"],
        addresses[1]: ["part-0.csv", "part-1.csv"],
        addresses[2]: ["other.txt"],
    }
    assert not (tmp_path / "run").exists()


async def test_progress(tmp_path: Path, bucket: fsspec.AbstractFileSystem) -> None:
    """While an audience is downloaded, its bytes so far and in all are known, to other processes too."""
    seen = []

    async def slow(_address: str, directory: Path) -> Path:
        (directory / "a.csv").write_bytes(b"12345")
        seen.append(download_progress(tmp_path / "run"))
        expect(directory, 20)
        seen.append(download_progress(tmp_path / "run"))
        return directory / "a.csv"

    async with fetch.fetch_files(["memory://b/exports/", "slow:a"], tmp_path / "run", {"slow": slow}):
        pass

    assert seen == [DownloadProgress(10 + 10 + 14 + 9 + 5, None), DownloadProgress(48, 20 + 43)]


async def test_missing_files(tmp_path: Path, bucket: fsspec.AbstractFileSystem) -> None:
    """A missing file or an empty prefix is a clear error."""
    for address in ("memory://b/nothing/", "memory://b/exports/x*.csv", "memory://b/nothing.csv"):
        with pytest.raises(InputError, match="no such file in the bucket"):
            async with fetch.fetch_file(address, tmp_path / "run", {}):
                pass


async def test_size_limit(tmp_path: Path, bucket: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    """The size limit applies to all parts together."""
    monkeypatch.setattr(fetch, "MAX_BYTES", 25)
    with pytest.raises(InputError, match="has more than 25 bytes"):
        async with fetch.fetch_file("memory://b/exports/", tmp_path / "run", {}):
            pass
