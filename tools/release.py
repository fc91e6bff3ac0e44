"""Builds and checks a release into `build/release`: `make release`.

The folder then has the source archive, the wheel (built from the archive), a list of the components that the wheel was
tried with (CycloneDX, an SBOM), the licenses of these components, and the digests of all files. Nothing is uploaded.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
import venv
from pathlib import Path

from core.store.migrate import newest
from tools import sqlite_schema

ROOT = Path(__file__).parents[1]
OUTPUT = ROOT / "build" / "release"
SBOM = "sbom.cdx.json"
LICENSES = "THIRD-PARTY-LICENSES.txt"
DIGESTS = "SHA256SUMS"
# Licenses that ask more than MIT of everyone who passes the program on. LGPL and MPL do not: the components are
# installed next to the program, and anyone can replace them.
_REFUSED = re.compile(r"(?<!L)(?<!Lesser )\bA?GPL|GNU (Affero )?General Public|SSPL|Commons Clause", re.I)
# How long a command may take, in seconds: pip installs about a hundred packages.
_STEP_S = 600


class ReleaseError(Exception):
    """The release can't be made. The message says what to do."""


def main() -> int:
    """Build the release, print its files, and return the exit code."""
    try:
        check_changelog(version(), (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"))
        check_schema(sqlite_schema.revision(), newest())
        build(ROOT, OUTPUT)
        with tempfile.TemporaryDirectory() as folder:
            describe(OUTPUT, install(OUTPUT, Path(folder)))
    except ReleaseError as error:
        print(f"No release: {error}", file=sys.stderr)
        return 1
    for path in sorted(OUTPUT.iterdir()):
        print(f"{path.stat().st_size:>12,} bytes  {path.relative_to(ROOT)}")
    return 0


def version() -> str:
    """Return the version in pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return str(project["version"])


def check_changelog(number: str, changelog: str) -> None:
    """Raise ReleaseError unless the newest section of the changelog is that of this version."""
    newest = re.search(r"^## (\S+)", changelog, re.M)
    if newest is None or newest[1] != number:
        raise ReleaseError(
            f"the newest section of CHANGELOG.md is {newest[1] if newest else 'missing'}, and the version in "
            f"pyproject.toml is {number}. Give the section the number and the date of the release."
        )


def check_schema(snapshot: str, needed: str) -> None:
    """Raise ReleaseError unless the snapshot of the schema has the newest revision: otherwise each start is slow."""
    if snapshot != needed:
        raise ReleaseError(
            f"the snapshot of the schema has the revision {snapshot}, and the newest is {needed}. Run "
            "`python -m tools.sqlite_schema`, and commit core/store/migrations/sqlite.sql."
        )


def build(source: Path, output: Path) -> None:
    """Build the source archive and the wheel of a source tree into an empty folder."""
    shutil.rmtree(output, ignore_errors=True)
    _run(sys.executable, "-m", "build", "--outdir", output, source)


def install(output: Path, folder: Path) -> Path:
    """Install the wheel in `output` into a new environment in `folder`, and return the environment's Python.

    Raises ReleaseError if the program does not start there, or has another version.
    """
    (wheel,) = output.glob("*.whl")
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    pinned = ("--constraint", ROOT / "constraints.txt")
    _run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *pinned, wheel)
    started = _run(folder / "bin" / "iterable-sync", "--version").strip()
    if started != f"iterable-sync {version()}":
        raise ReleaseError(f"the installed program says that it is {started!r}.")
    return python


def describe(output: Path, python: Path) -> None:
    """Write the SBOM, the licenses and the digests. `python` is that of the environment with the wheel.

    Raises ReleaseError if a component has a license that we refuse.
    """
    _run(python, "-m", "pip", "uninstall", "--quiet", "--yes", "pip")  # a tool of the environment, no component
    sbom = ("--of", "JSON", "--output-reproducible", "--pyproject", ROOT / "pyproject.toml")
    _run(sys.executable, "-m", "cyclonedx_py", "environment", *sbom, "-o", output / SBOM, python)
    licenses = _run(
        sys.executable, "-m", "piplicenses", f"--python={python}", "--from=mixed", "--format=json",
        "--with-license-file", "--no-license-path", "--ignore-packages", "iterable-sync",
    )  # fmt: skip
    components = json.loads(licenses)
    check_licenses({each["Name"]: each["License"] for each in components})
    texts = [f"{each['Name']} {each['Version']}\n{each['License']}\n\n{each['LicenseText']}" for each in components]
    (output / LICENSES).write_text(f"\n\n{'-' * 78}\n\n".join(texts), encoding="utf-8")
    digests = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}" for path in sorted(output.iterdir())]
    (output / DIGESTS).write_text("\n".join(digests) + "\n", encoding="ascii")


def check_licenses(licenses: dict[str, str]) -> None:
    """Raise ReleaseError if a component has a license that we refuse, or none. `licenses` are by component."""
    for name, license_name in sorted(licenses.items()):
        if _REFUSED.search(license_name) or license_name in ("", "UNKNOWN"):
            raise ReleaseError(f"the license of {name} is {license_name or 'missing'}. Replace the component.")


def _run(*command: object) -> str:
    """Run a command, and return what it prints. Raises ReleaseError with its last words if it fails or hangs."""
    environment = os.environ | {"PYTHONWARNINGS": "ignore"}
    arguments = [str(part) for part in command]
    try:
        done = subprocess.run(  # noqa: S603
            arguments, capture_output=True, text=True, check=False, cwd=ROOT, env=environment, timeout=_STEP_S
        )
    except subprocess.TimeoutExpired as error:
        raise ReleaseError(f"{' '.join(arguments[1:4])} did not end within {_STEP_S} seconds.") from error
    if done.returncode != 0:
        raise ReleaseError(f"{' '.join(arguments[1:4])} failed:\n{(done.stdout + done.stderr)[-2000:]}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
