"""The wheel and the source archive carry everything, and the wheel works without the source tree."""

import json
import os
import shutil
import subprocess
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from tests.bot.cli.commands import local_iterable

ROOT = Path(__file__).parents[1]
#: Files that are no Python code, and that the program or its operators need.
_IN_WHEEL = ("bot", "core", "sandbox")
_NOT_COPIED = shutil.ignore_patterns(".*", "*.egg-info", "build", "dist", "data", "__pycache__", "venv")
# How long one step may take (downloads of dependencies, mostly), in seconds.
_STEP_S = 600.0


def _run(*command: object, folder: Path, env: dict[str, str] | None = None) -> str:
    """Run a command to its end, and return its output. Raises AssertionError if it fails."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_STEP_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


@pytest.mark.extended
def test_wheel_works_without_the_source_tree(tmp_path: Path) -> None:
    """Built from the source archive and installed with the pinned dependencies, it plays the tour and syncs a file.

    These are the steps of the image in `deploy/Dockerfile`.
    """
    source = shutil.copytree(ROOT, tmp_path / "source", ignore=_NOT_COPIED)
    venv.create(tmp_path / "venv", with_pip=True)
    bin_dir, dist = tmp_path / "venv" / "bin", tmp_path / "dist"
    pip = (bin_dir / "python", "-m", "pip", "--disable-pip-version-check", "--quiet")

    _run(*pip, "install", "build", folder=tmp_path)
    _run(bin_dir / "python", "-m", "build", "--outdir", dist, source, folder=tmp_path)
    (archive,), (wheel,) = dist.glob("*.tar.gz"), dist.glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        in_wheel = {name for name in file.namelist() if name.startswith(_IN_WHEEL)}
        licenses = [name for name in file.namelist() if name.endswith("licenses/LICENSE")]
    assert in_wheel == _packaged(source)
    assert licenses
    with tarfile.open(archive) as tar:
        names = {name.partition("/")[2] for name in tar.getnames()}
    assert {"CHANGELOG.md", "constraints.txt", "docs/reference/settings.md", "deploy/Dockerfile"} <= names

    shutil.copy(ROOT / "constraints.txt", tmp_path)
    shutil.rmtree(source)
    _run(*pip, "install", "--constraint", "constraints.txt", wheel, folder=tmp_path)
    _check_program(bin_dir, tmp_path)


def _packaged(source: Path) -> set[str]:
    files = (path for package in _IN_WHEEL for path in (source / package).rglob("*") if path.is_file())
    return {path.relative_to(source).as_posix() for path in files if path.suffix != ".pyc"}


def _check_program(bin_dir: Path, folder: Path) -> None:
    program = bin_dir / "iterable-sync"
    assert _run(program, "--version", folder=folder).startswith("iterable-sync ")
    home = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    assert "The tour leaves nothing behind" in _run(program, "demo", "--tour", folder=folder, env=home)
    (folder / "audience.csv").write_text("email,customer_id\np1@example.com,c1\np2@example.com,c2\n")
    with local_iterable() as iterable:
        keys = home | {"ITERABLE_API_KEY": iterable.key, "ITERABLE_SYNC_ITERABLE_URL": iterable.url}
        list_id = str(iterable.new_list())
        printed = _run(program, "sync", "audience.csv", "--list", list_id, "--json", folder=folder, env=keys)
        assert iterable.emails(int(list_id)) == {"p1@example.com", "p2@example.com"}
    assert json.loads(printed)["added"] == 2
