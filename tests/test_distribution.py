"""The wheel and the source archive carry everything, and the wheel works without the source tree."""

import hashlib
import json
import os
import shutil
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.bot.cli.commands import local_iterable
from tools import release

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


@pytest.mark.timeout(3 * _STEP_S)  # it installs the program twice
@pytest.mark.extended
def test_release(tmp_path: Path) -> None:
    """The wheel is built from the source archive, and plays the tour and syncs a file without the source tree.

    Next to it are the list of components, their licenses, and the digests of the files.
    """
    source = shutil.copytree(ROOT, tmp_path / "source", ignore=_NOT_COPIED)
    dist = tmp_path / "dist"
    release.build(source, dist)
    (archive,), (wheel,) = dist.glob("*.tar.gz"), dist.glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        in_wheel = {name for name in file.namelist() if name.startswith(_IN_WHEEL)}
        shared = {Path(name).name for name in file.namelist() if "/share/iterable-sync/" in name}
        licenses = [name for name in file.namelist() if name.endswith("licenses/LICENSE")]
    assert in_wheel == _packaged(source)
    assert shared == {
        "alerts.yaml",
        "constraints.txt",
        "grafana-dashboard.json",
        "iterable-sync.service",
        "manifest-usergroups.yml",
        "manifest.yml",
    }
    assert licenses
    with tarfile.open(archive) as tar:
        names = {name.partition("/")[2] for name in tar.getnames()}
    assert {"CHANGELOG.md", "constraints.txt", "docs/reference/settings.md", "mkdocs.yml", "deploy/Dockerfile"} <= names
    shutil.rmtree(source)

    python = release.install(dist, tmp_path / "venv")
    _check_program(python.parent, tmp_path)

    release.describe(dist, python)
    components = {each["name"] for each in json.loads((dist / release.SBOM).read_text())["components"]}
    assert {"aiohttp", "duckdb", "slack_bolt"} <= components
    assert "aiohttp" in (dist / release.LICENSES).read_text()
    assert "Apache License" in (dist / release.LICENSES).read_text()
    digests = (dist / release.DIGESTS).read_text().splitlines()
    files = {path for path in dist.iterdir() if path.name != release.DIGESTS}
    assert set(digests) == {f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}" for path in files}


def test_snapshot_of_an_earlier_schema() -> None:
    """There is no release in which a new database is migrated from an earlier schema."""
    with pytest.raises(release.ReleaseError, match=r"revision 0032, and the newest is 0033.*tools\.sqlite_schema"):
        release.check_schema("0032", "0033")
    release.check_schema("0033", "0033")


@pytest.mark.parametrize("changelog", ["", "# Changelog\n\n## Unreleased\n", "## 0.1.0 - 2026-01-31\n\n## 0.2.0\n"])
def test_changelog_without_the_version(changelog: str) -> None:
    """Without a section for its version at the top of the changelog, there is no release."""
    with pytest.raises(release.ReleaseError, match="Give the section the number"):
        release.check_changelog("0.2.0", changelog)
    release.check_changelog("0.2.0", "# Changelog\n\n## 0.2.0 - 2026-11-29\n" + changelog)


@pytest.mark.parametrize(
    "name",
    [
        "GPL-3.0-only",
        "GNU General Public License v3 (GPLv3)",
        "AGPL-3.0",
        "GNU Affero General Public License",
        "UNKNOWN",
    ],
)
def test_refused_licenses(name: str) -> None:
    """A component is refused whose license asks more of those who pass the program on, or that has none."""
    with pytest.raises(release.ReleaseError, match="the license of part is"):
        release.check_licenses({"fine": "MIT", "part": name})


def test_accepted_licenses() -> None:
    """Permissive licenses and weak copyleft are accepted."""
    names = ("MIT", "Apache-2.0", "MPL-2.0", "LGPL-3.0-only", "GNU Lesser General Public License v3 (LGPLv3)")
    release.check_licenses({name: name for name in names})


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
