"""Local servers of buckets, for fixtures: each has the same files in a bucket `exports`.

Programs find them as they find the real ones, by the variables of the clouds' own tools. The libraries of a cloud are
imported by its fixture: together they take a second.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote
from urllib.request import Request, urlopen

import pytest

# The account that Azurite always has (learn.microsoft.com/azure/storage/common/storage-use-azurite).
AZURITE = (
    "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey="
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)
PARTS = {"a/part-0.csv": b"email\na@example.com\n", "a/part-1.csv": b"email\nb@example.com\n", "a/_SUCCESS": b"\n"}


def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A bucket `exports` in a local server, found as Amazon's own tools find it."""
    boto3, moto = pytest.importorskip("boto3"), pytest.importorskip("moto.server")
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


def gcs(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A bucket `exports` in a local server, found by the variable of Google's own libraries."""
    emulator = pytest.importorskip("gcp_storage_emulator.server")
    server = emulator.create_server("127.0.0.1", 0, in_memory=True, default_bucket="exports")
    server.start()
    root = f"http://127.0.0.1:{server._api._httpd.server_address[1]}"
    for name, content in PARTS.items():
        address = f"{root}/upload/storage/v1/b/exports/o?uploadType=media&name={quote(name, safe='')}"
        urlopen(Request(address, data=content, headers={"Content-Type": "text/csv"}, method="POST")).close()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", root)
    yield
    server.stop()


def azure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A container `exports` in a local server, found by the variable of Azure's own tools."""
    program = shutil.which("azurite-blob")
    if program is None:
        pytest.skip("needs azurite-blob, which CI installs: npm install --global azurite")
    blob = pytest.importorskip("azure.storage.blob")
    options = ["--blobPort", "0", "--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry", "--silent"]
    with subprocess.Popen([program, *options], stdout=subprocess.PIPE, text=True, cwd=tmp_path) as server:
        assert server.stdout
        try:
            root = next(line.split()[-1] for line in server.stdout if "listens on" in line)
            monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", f"{AZURITE};BlobEndpoint={root}/devstoreaccount1")
            address = os.environ["AZURE_STORAGE_CONNECTION_STRING"]
            with blob.BlobServiceClient.from_connection_string(address) as client:
                container = client.create_container("exports")
                for name, content in PARTS.items():
                    container.upload_blob(name, content)
            yield
        finally:
            server.terminate()
            server.stdout.read()
