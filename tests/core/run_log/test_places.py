"""The run log in buckets and on servers: S3's protocol, Google Cloud Storage's, Azure's, and SFTP."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from fsspec.core import url_to_fs

from core.errors import InputError, SyncError
from core.run_log import configuration, export
from core.run_log.place import Place
from core.store.audit_log import COMMAND_LINE
from core.store.run_log import Identifiers
from tests.core.harness import person, syncing
from tests.core.run_log.harness import files, manifests, rows


async def _check(address: str, directory: Path) -> None:
    """Write a file to a place, replace it, and remove it. One that is not there is removed without an error."""
    source = directory / "source"
    place = Place(address)
    name = "changes/day=2026-11-29/abc.parquet"
    for content in (b"first", b"second " * 2_000_000):
        source.write_bytes(content)
        await place.put(source, name)
        assert await asyncio.to_thread(_read, address, name) == content
    await place.remove(name)
    await place.remove(name)
    with pytest.raises(FileNotFoundError):
        await asyncio.to_thread(_read, address, name)


def _read(address: str, name: str) -> bytes:
    store, root = url_to_fs(address, skip_instance_cache=True)
    return bytes(store.cat_file(f"{root}/{name}"))


@pytest.mark.extended
@pytest.mark.usefixtures("s3")
async def test_s3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run is written to a bucket as to a folder. A bucket that is missing, or lets no one in, is a sentence."""
    address = "s3://exports/log"
    await _check(address, tmp_path)
    async with syncing(tmp_path) as sync:
        await configuration.turn_on(sync.engine, address, Identifiers.RAW, None, by=COMMAND_LINE, team_id=None)
        run = (await sync.mirror([person(1), person(2, email="no")])).run
        await export.write_due(sync.engine)
    store, root = url_to_fs(address, skip_instance_cache=True)
    await asyncio.to_thread(store.get, root, str(tmp_path / "copy"), recursive=True)
    assert rows(tmp_path / "copy", "changes", "member, outcome") == [("1", "accepted")]
    assert len(manifests(tmp_path / "copy")) == 1
    tables = {f"{table}/{run.id}.parquet" for table in ("changes", "rejections", "runs")}
    assert files(tmp_path / "copy") == {*tables, f"manifests/{run.id}.json", configuration.SCHEMA_FILE}

    with pytest.raises(InputError, match=r"There is no such bucket"):
        await configuration.write_schema(Place("s3://nothing/log"))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    with pytest.raises(InputError, match="does not let this program in"):
        await configuration.write_schema(Place(address))
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "example")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "example")
    with pytest.raises(SyncError, match="failed to answer") as away:
        await configuration.write_schema(Place(address))
    assert away.value.is_transient


@pytest.mark.extended
@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")  # gcsfs sends a piece as bytes
@pytest.mark.usefixtures("gcs")
async def test_google_cloud_storage(tmp_path: Path) -> None:
    """A file is written to a bucket, replaced and removed."""
    await _check("gs://exports/log", tmp_path)


@pytest.mark.extended
@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")  # adlfs sends a piece as bytes
@pytest.mark.usefixtures("azure")
async def test_azure(tmp_path: Path) -> None:
    """A file is written to a container, replaced and removed."""
    await _check("az://exports/log", tmp_path)


async def test_sftp(tmp_path: Path, home: Path, sftp: Any) -> None:
    """A file is written to a server whole, with its folders; it has another name until it is complete."""
    (tmp_path / "served").mkdir()
    key = sftp.new_key()
    with sftp.sftp_server(tmp_path / "served", key) as root:
        sftp.trust(root, home, key)
        place = Place(f"{root}/log")
        for content in ("first", "second"):
            (tmp_path / "source").write_text(content)
            await place.put(tmp_path / "source", "runs/day=2026-11-29/abc.parquet")
            written = tmp_path / "served" / "log" / "runs" / "day=2026-11-29" / "abc.parquet"
            assert written.read_text() == content
            assert list(written.parent.iterdir()) == [written]
        await place.remove("runs/day=2026-11-29/abc.parquet")
        assert not written.exists()
        with pytest.raises(InputError, match="does not let this program in"):
            await Place(f"{root.replace('open', 'wrong')}/log").remove("runs")
