"""Audiences fetched from servers as they are in use: S3's protocol, Google Cloud Storage's, Azure's, and SFTP."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote
from urllib.request import Request, urlopen

import pytest
from azure.storage.blob import BlobServiceClient

from core.errors import InputError
from core.sources import fetch

boto3 = pytest.importorskip("boto3")
moto = pytest.importorskip("moto.server")
gcs_emulator = pytest.importorskip("gcp_storage_emulator.server")
sftp = pytest.importorskip("tests.core.sources.sftp_server")

# The account that Azurite always has (learn.microsoft.com/azure/storage/common/storage-use-azurite).
AZURITE = (
    "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey="
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)
PARTS = {"a/part-0.csv": b"email\na@example.com\n", "a/part-1.csv": b"email\nb@example.com\n", "a/_SUCCESS": b"\n"}


async def read_all(address: str, directory: Path) -> dict[str, bytes]:
    """Fetch an address. Returns the content of its files by name."""
    async with fetch.fetch_file(address, directory, {}) as path:
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        return {each.name: each.read_bytes() for each in files if each.is_file()}


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A bucket `exports` in a local server, found as Amazon's own tools find it."""
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "example")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "example")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    client = boto3.client("s3")
    client.create_bucket(Bucket="exports")
    for name, content in PARTS.items():
        client.put_object(Bucket="exports", Key=name, Body=content)
    client.close()
    yield
    server.stop()


@pytest.mark.extended
@pytest.mark.usefixtures("s3")
async def test_s3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file, a prefix and a pattern are fetched. What is missing, in the bucket or of it, is a sentence."""
    assert await read_all("s3://exports/a/part-0.csv", tmp_path / "run") == {"part-0.csv": PARTS["a/part-0.csv"]}
    both = {"part-0.csv": PARTS["a/part-0.csv"], "part-1.csv": PARTS["a/part-1.csv"]}
    assert await read_all("s3://exports/a/", tmp_path / "run") == both
    assert await read_all("s3://exports/a/part-*.csv", tmp_path / "run") == both
    boto3.client("s3").put_object(Bucket="exports", Key="a/part-2.csv", Body=b"email\n")
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


@pytest.fixture
def gcs(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A bucket `exports` in a local server, found by the variable of Google's own libraries."""
    server = gcs_emulator.create_server("127.0.0.1", 0, in_memory=True, default_bucket="exports")
    server.start()
    root = f"http://127.0.0.1:{server._api._httpd.server_address[1]}"
    for name, content in PARTS.items():
        address = f"{root}/upload/storage/v1/b/exports/o?uploadType=media&name={quote(name, safe='')}"
        urlopen(Request(address, data=content, headers={"Content-Type": "text/csv"}, method="POST")).close()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", root)
    yield
    server.stop()


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


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home directory of the user, without known servers."""
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def azure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A container `exports` in a local server, found by the variable of Azure's own tools."""
    program = shutil.which("azurite-blob")
    if program is None:
        pytest.skip("needs azurite-blob, which CI installs: npm install --global azurite")
    options = ["--blobPort", "0", "--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry", "--silent"]
    with subprocess.Popen([program, *options], stdout=subprocess.PIPE, text=True, cwd=tmp_path) as server:
        assert server.stdout
        try:
            root = next(line.split()[-1] for line in server.stdout if "listens on" in line)
            monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", f"{AZURITE};BlobEndpoint={root}/devstoreaccount1")
            with BlobServiceClient.from_connection_string(os.environ["AZURE_STORAGE_CONNECTION_STRING"]) as client:
                container = client.create_container("exports")
                for name, content in PARTS.items():
                    container.upload_blob(name, content)
            yield
        finally:
            server.terminate()
            server.stdout.read()


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


async def test_sftp(tmp_path: Path, home: Path) -> None:
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


async def test_keys_of_sftp_servers(tmp_path: Path, home: Path) -> None:
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
