"""Sources: which files of a folder or a bucket are audiences, in which order, and what becomes of them."""

import os
import zipfile
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from core.automation import sources
from core.errors import ConflictError, InputError, ValidationError
from core.sources.fetch import check_place
from core.sources.file_catalog import list_audiences, time_in_name
from core.store import file_sources
from core.store.audit_log import COMMAND_LINE
from core.store.file_sources import Existing
from tests.core.automation.harness import MINUTE_S, MONDAY, automated
from tests.core.harness import addresses


def names_in(folder: Path) -> list[str]:
    """The names in a folder, in order."""
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("name", "time"),
    [
        ("8754_Parisians_172136Nov292018.csv", "2018-11-29T17:21:36"),
        ("Audience-Name_123_2020-07-08_00-16-14_0f8fad5b-d9cb.txt", "2020-07-08T00:16:14"),
        ("shoppers-2026-12-07.csv", "2026-12-07T00:00:00"),
        ("shoppers_20261207T0830.parquet", "2026-12-07T08:30:00"),
        ("exports/2026/12/07/shoppers.csv", None),
        ("dt=2026-12-07/part-0001.csv", "2026-12-07T00:00:00"),
        ("shoppers-12345678.csv", None),
        ("shoppers.csv", None),
    ],
)
def test_times_in_names(name: str, time: str | None) -> None:
    """The time in a name decides the order of files, if there is one."""
    expected = None if time is None else datetime.fromisoformat(time).replace(tzinfo=UTC).timestamp()
    assert time_in_name(name) == expected


async def test_folder(tmp_path: Path) -> None:
    """Markers and unfinished files are left out, and a folder of parts is one audience once it has its marker."""
    for name in ("b.csv", "a.csv", ".hidden.csv", "c.csv.tmp", "_log", "mparticle-validation-1", "run1/part-0001.csv"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("email\n")
        os.utime(path, (MONDAY, MONDAY))
    os.utime(tmp_path / "a.csv", (MONDAY + 1, MONDAY + 1))
    (tmp_path / "empty.csv").touch()
    for number in (2, 1):
        path = tmp_path / "2026-12-06" / f"part-000{number}.csv"
        path.parent.mkdir(exist_ok=True)
        path.write_text("email\n")
    (tmp_path / "2026-12-06" / "_SUCCESS").touch()
    listed = await list_audiences(str(tmp_path))
    assert [(Path(each.address).name, len(each.parts), each.is_complete) for each in listed] == [
        ("2026-12-06", 2, True),
        ("b.csv", 1, True),
        ("run1", 1, False),
        ("a.csv", 1, True),
    ]
    for place, names in (
        (tmp_path / "a", ["a.csv"]),
        (tmp_path / "*.csv", ["b.csv", "a.csv"]),
        (tmp_path / "b.csv", ["b.csv"]),
    ):
        assert [Path(each.address).name for each in await list_audiences(str(place))] == names
    with pytest.raises(InputError, match="no such folder"):
        await list_audiences(str(tmp_path / "none" / "here"))


def test_allowed_places(tmp_path: Path) -> None:
    """People in Slack choose places that the operator allows, and no way leads out of them."""
    allowed = (str(tmp_path / "in"), "s3://bucket/in")
    (tmp_path / "in").mkdir()
    for place in (tmp_path / "in", tmp_path / "in" / "a-*.csv", "s3://bucket/in/a-"):
        check_place(str(place), allowed)
    outside = (tmp_path, tmp_path / "in" / "*" / ".." / ".." / "x", "s3://bucket/inside/", "s3://bucket/in/../x")
    malformed = (tmp_path / "in" / ("a" * 300), tmp_path / "in" / "a\0" / "b", "s3://[")
    for place in (*outside, *malformed):
        with pytest.raises(InputError):
            check_place(str(place), allowed)


async def test_partial_uploads_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that still grows, and a ZIP without its end, are synced only once they are complete."""
    async with automated(tmp_path, None, monkeypatch) as world:
        await world.source()
        await world.schedule()
        whole = world.write("audience.csv", range(1, 7)).read_bytes()
        packed = world.folder / "other.zip"
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("audience.csv", whole.replace(b"p6", b"p7"))
        zipped = packed.read_bytes()
        for size in range(20, len(whole), 40):
            (world.folder / "audience.csv").write_bytes(whole[:size])
            packed.write_bytes(zipped[: len(zipped) - 30])
            await world.step(25.0)
        await world.steps(3 * MINUTE_S)
        assert await world.files() == {"audience.csv": "synced", "other.zip": "arriving"}
        (world.folder / "audience.csv").write_bytes(whole)
        packed.write_bytes(zipped)
        await world.steps(5 * MINUTE_S)
        assert await world.files() == {"audience.csv": "synced", "other.zip": "synced"}


@pytest.mark.extended
async def test_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Synced files are moved to the archive, which may be a subfolder of the source, and don't come back."""
    async with automated(tmp_path, None, monkeypatch) as world:
        await world.source(archive=str(world.folder / "done"), existing=Existing.ALL)
        await world.schedule()
        for number in range(3):
            world.write(f"{number}.csv", range(number + 1))
        await world.steps(6 * MINUTE_S)
        assert names_in(world.folder) == ["done"]
        assert names_in(world.folder / "done") == ["0.csv", "1.csv", "2.csv"]
        world.write("0.csv", range(9))
        await world.steps(4 * MINUTE_S)
        assert names_in(world.folder / "done") == ["0 (2).csv", "0.csv", "1.csv", "2.csv"]
        assert await world.synced() == ["0.csv", "1.csv", "2.csv", "0.csv"]


async def test_choosing_a_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wrong places are refused with a sentence; a source that schedules need stays; passwords are stored encrypted."""
    async with automated(tmp_path, None, monkeypatch) as world:
        engine = world.sync.engine
        for address, error in (
            ("ftp://host/", ValidationError),
            (" ", ValidationError),
            ("http://h/a.csv", None),
            ("sftp://user:secret@host/exports/", None),
        ):
            if error is None:
                await world.source(address)
            else:
                with pytest.raises(error):
                    await world.source(address)
        with pytest.raises(ValidationError, match="same kind"):
            await world.source("s3://bucket/a/", archive="gs://bucket/b/")
        async with engine.database.read() as db:
            source = await file_sources.get(db, world.mapping.id)
        assert source is not None
        assert source.address == "sftp://host/exports/"
        assert "secret" not in repr(source)
        assert sources.full_address(engine, source) == "sftp://user:secret@host/exports/"
        await world.schedule(name="Nightly")
        with pytest.raises(ConflictError, match="Nightly"):
            await sources.remove_source(engine, world.mapping, by=COMMAND_LINE, team_id=None)


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A bucket "exports" on moto's S3 server, and a client."""
    moto = pytest.importorskip("moto.server")
    import boto3

    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in (
        ("AWS_ENDPOINT_URL", f"http://{host}:{port}"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
    ):
        monkeypatch.setenv(name, value)
    client = boto3.client("s3")
    client.create_bucket(Bucket="exports")
    yield client
    client.close()
    server.stop()


@pytest.mark.extended
async def test_bucket(bucket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The new files of a bucket are synced once, the oldest first, and archived."""
    async with automated(tmp_path, None, monkeypatch) as world:

        def put(name: str, numbers: Iterable[int]) -> None:
            body = world.write("local.csv", numbers).read_bytes()
            bucket.put_object(Bucket="exports", Key=f"shoppers/{name}", Body=body)

        await world.source("s3://exports/shoppers/", archive="s3://exports/done/", existing=Existing.ALL)
        await world.schedule()
        put("2026-12-07.csv", range(4))
        put("2026-12-06.csv", range(3))
        put("2026-12-08/part-0001.csv", range(5))
        await world.steps(5 * MINUTE_S)
        assert await world.synced() == ["2026-12-06.csv", "2026-12-07.csv"]
        put("again.csv", range(4))
        await world.steps(3 * MINUTE_S)
        put("2026-12-08/_SUCCESS", [])
        await world.steps(4 * MINUTE_S)
        assert await world.synced() == ["2026-12-06.csv", "2026-12-07.csv", "part-0001.csv"]
        assert world.sync.emails() == addresses(range(5))
        keys = [each["Key"] for each in bucket.list_objects_v2(Bucket="exports")["Contents"]]
        assert [key for key in keys if key.startswith("done/")] == [
            "done/2026-12-06.csv",
            "done/2026-12-07.csv",
            "done/2026-12-08/_SUCCESS",
            "done/2026-12-08/part-0001.csv",
        ]
