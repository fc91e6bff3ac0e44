"""The files that settings come from: `.env`, and files that contain one secret each.

For each secret setting NAME, the variable NAME_FILE may name a file that contains it. Docker and Kubernetes mount
secrets as files, and systemd passes them so (LoadCredential). A file appears neither in `docker inspect` nor in the
environment of child processes.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from dotenv import dotenv_values

from core.errors import SettingsError


def read_secret_files(names: Iterable[str], env_file: Path) -> dict[str, str]:
    """Return the secrets that are in files, by the name of the setting, without white space around them.

    `names` are the names of secret settings; their variables are in the environment or in `env_file`. Raises
    SettingsError, which never shows a value, if a file can't be read or is empty, or if the setting itself is also set.
    """
    in_file = dotenv_values(env_file, encoding="utf-8-sig", interpolate=False) if env_file.is_file() else {}
    variables = {**in_file, **os.environ}
    return {name: _secret(name, variables) for name in names if variables.get(f"{name}_FILE")}


def check_encoding(path: Path) -> None:
    """Raise SettingsError if a file of settings exists and is not in UTF-8: its lines would be ignored."""
    try:
        content = path.read_bytes()
    except OSError:  # no file, or an unreadable one: a setting that is missing is reported when it is needed
        return
    if content.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in content:
        fault = "is in UTF-16, as PowerShell and Notepad write it"
    else:
        try:
            content.decode()
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            fault = f"is not in UTF-8 (line {line}); it may be in Latin-1 or Windows-1252"
        else:
            return
    raise SettingsError(f"{path.absolute()} {fault}. Save it in UTF-8.") from None


def _secret(name: str, variables: Mapping[str, str | None]) -> str:
    if variables.get(name):
        raise SettingsError(f"{name} and {name}_FILE are both set. Remove one of them.")
    try:
        secret = Path(variables[f"{name}_FILE"] or "").expanduser().read_text(encoding="utf-8-sig").strip()
    except OSError as error:
        raise SettingsError(f"The file that {name}_FILE names can't be read ({error.strerror}).") from None
    except ValueError:
        raise SettingsError(f"The file that {name}_FILE names is not text in UTF-8.") from None
    if not secret:
        raise SettingsError(f"The file that {name}_FILE names is empty.")
    return secret
