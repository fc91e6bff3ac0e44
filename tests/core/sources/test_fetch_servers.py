"""Audiences fetched from servers as they are in use: S3's protocol, Google Cloud Storage's, Azure's, and SFTP."""

import os
from pathlib import Path
from typing import Any

import pytest

from core.errors import InputError
from core.sources import fetch
from tests.core.sources.servers import PARTS


async def read_all(address: str, directory: Path) -> dict[str, bytes]:
    """Fetch an address. Returns the content of its files by name."""
    async with fetch.fetch_file(address, directory, {}) as path:
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        return {each.name: each.read_bytes() for each in files if each.is_file()}


@pytest.mark.extended
@pytest.mark.usefixtures("s3")
async def test_s3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file, a prefix and a pattern are fetched. What is missing, in the bucket or of it, is a sentence."""
    assert await read_all("s3://exports/a/part-0.csv", tmp_path / "run") == {"part-0.csv": PARTS["a/part-0.csv"]}
    both = {"part-0.csv": PARTS["a/part-0.csv"], "part-1.csv": PARTS["a/part-1.csv"]}
    assert await read_all("s3://exports/a/", tmp_path / "run") == both
    assert await read_all("s3://exports/a/part-*.csv", tmp_path / "run") == both
    pytest.importorskip("boto3").client("s3").put_object(Bucket="exports", Key="a/part-2.csv", Body=b"email\n")
    assert (await read_all("s3://exports/a/", tmp_path / "run")).keys() == {*both, "part-2.csv"}
    for missing in ("s3://exports/a/none.csv", "s3://exports/none/", "s3://nothing/a.csv"):
        with pytest.raises(InputError, match="There is no such file"):
            await read_all(missing, tmp_path / "run")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    with pytest.raises(InputError, match="does not let this program in"):
        await read_all("s3://exports/a/part-0.csv", tmp_path / "run")


@pytest.mark.extended
@pytest.mark.usefixtures("gcs")
async def test_google_cloud_storage(tmp_path: Path) -> None:
    """A file, a prefix and a pattern are fetched, and what is missing is a sentence."""
    both = {"part-0.csv": PARTS["a/part-0.csv"], "part-1.csv": PARTS["a/part-1.csv"]}
    assert await read_all("gs://exports/a/part-0.csv", tmp_path / "run") == {"part-0.csv": PARTS["a/part-0.csv"]}
    assert await read_all("gs://exports/a/", tmp_path / "run") == both
    assert await read_all("gs://exports/a/part-*.csv", tmp_path / "run") == both
    with pytest.raises(InputError, match="There is no such file"):
        await read_all("gs://exports/a/none.csv", tmp_path / "run")


@pytest.mark.extended
@pytest.mark.usefixtures("azure")
async def test_azure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file, a prefix and a pattern are fetched. What is missing, in the container or of it, is a sentence."""
    both = {"part-0.csv": PARTS["a/part-0.csv"], "part-1.csv": PARTS["a/part-1.csv"]}
    assert await read_all("az://exports/a/part-0.csv", tmp_path / "run") == {"part-0.csv": PARTS["a/part-0.csv"]}
    assert await read_all("az://exports/a/", tmp_path / "run") == both
    assert await read_all("az://exports/a/part-*.csv", tmp_path / "run") == both
    for missing in ("az://exports/a/none.csv", "az://exports/none/", "az://nothing/a.csv"):
        with pytest.raises(InputError, match="There is no such file"):
            await read_all(missing, tmp_path / "run")
    right = os.environ["AZURE_STORAGE_CONNECTION_STRING"]
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", right.replace("AccountKey=E", "AccountKey=F"))
    with pytest.raises(InputError, match="does not let this program"):
        await read_all("az://exports/a/part-0.csv", tmp_path / "run")
    monkeypatch.delenv("AZURE_STORAGE_CONNECTION_STRING")
    with pytest.raises(InputError, match="credentials"):
        await read_all("az://exports/a/part-0.csv", tmp_path / "run")


async def test_sftp(tmp_path: Path, home: Path, sftp: Any) -> None:
    """A file and a folder are fetched. A wrong password, a missing file and one without permission are sentences."""
    for name, content in {**PARTS, "a/secret.csv": b"email\n"}.items():
        (tmp_path / "served" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "served" / name).write_bytes(content)
    key = sftp.new_key()
    with sftp.sftp_server(tmp_path / "served", key) as root:
        sftp.trust(root, home, key)
        assert await read_all(f"{root}/a/part-0.csv", tmp_path / "run") == {"part-0.csv": PARTS["a/part-0.csv"]}
        parts = await read_all(f"{root}/a/part-*", tmp_path / "run")
        assert parts == {"part-0.csv": PARTS["a/part-0.csv"], "part-1.csv": PARTS["a/part-1.csv"]}
        with pytest.raises(InputError, match="There is no such file"):
            await read_all(f"{root}/a/none.csv", tmp_path / "run")
        with pytest.raises(InputError, match="does not let this program read"):
            await read_all(f"{root}/a/secret.csv", tmp_path / "run")
        with pytest.raises(InputError, match="does not let this program in"):
            await read_all(f"{root.replace('open', 'wrong')}/a/part-0.csv", tmp_path / "run")


async def test_keys_of_sftp_servers(tmp_path: Path, home: Path, sftp: Any) -> None:
    """A server with an unknown key gets no password, and one with a changed key neither. Both are sentences."""
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "a.csv").write_bytes(PARTS["a/part-0.csv"])
    key = sftp.new_key()
    with sftp.sftp_server(tmp_path / "served", key) as root:
        with pytest.raises(InputError) as unknown:
            await read_all(f"{root}/a.csv", tmp_path / "run")
        assert key.fingerprint in unknown.value.message
        assert f"ssh-keyscan -p {root.rpartition(':')[2]} 127.0.0.1 >> ~/.ssh/known_hosts" in unknown.value.message

        sftp.trust(root, home, sftp.new_key())
        with pytest.raises(InputError, match=r"has changed.*nothing was sent.*ssh-keygen -R") as changed:
            await read_all(f"{root}/a.csv", tmp_path / "run")
        assert key.fingerprint in changed.value.message

        sftp.trust(root, home, key)
        assert await read_all(f"{root}/a.csv", tmp_path / "run") == {"a.csv": PARTS["a/part-0.csv"]}
