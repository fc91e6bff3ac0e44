"""Where secrets come from besides the environment: a file, or a command such as the client of Vault or of a KMS.

For each secret setting NAME, the variable NAME_FILE may name a file that contains it, and NAME_COMMAND a command that
prints it. Docker and Kubernetes mount secrets as files, and systemd passes them so (LoadCredential). Such a secret
appears neither in `docker inspect` nor in the environment of child processes.

Another source is another class with `suffix` and `read`, listed in SOURCES.
"""

import os
import shlex
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from dotenv import dotenv_values

from core.errors import SettingsError


@dataclass(frozen=True, slots=True)
class SourcedSecret:
    """A secret, and the variable that names its file or its command."""

    value: str
    variable: str


#: How long a command may take, in seconds.
COMMAND_S = 30.0


class SecretSource(Protocol):
    """A place that secrets are read from."""

    suffix: str
    """Follows the name of a secret setting in the variable that selects this source."""

    def read(self, variable: str, value: str) -> str:
        """Return the secret that the value of a variable refers to. Raises SettingsError; no error shows a secret."""


class SecretFiles:
    """Secrets in files of their own."""

    suffix = "FILE"

    def read(self, variable: str, value: str) -> str:
        """Return the content of a file."""
        try:
            return Path(value).expanduser().read_text(encoding="utf-8-sig")
        except OSError as error:
            raise SettingsError(f"The file that {variable} names can't be read ({error.strerror}).") from None
        except ValueError:
            raise SettingsError(f"The file that {variable} names is not text in UTF-8.") from None


class SecretCommands:
    """Secrets that a command prints, such as `vault kv get -field=key secret/iterable`. No shell reads the command."""

    suffix = "COMMAND"

    def read(self, variable: str, value: str) -> str:
        """Return what a command prints on standard output. Its standard error is that of this process."""
        try:
            done = subprocess.run(  # noqa: S603  # the operator's own command
                shlex.split(value), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=COMMAND_S, check=False
            )
        except subprocess.TimeoutExpired:
            raise SettingsError(f"The command of {variable} took more than {COMMAND_S:.0f} seconds.") from None
        except ValueError:
            raise SettingsError(f"The command of {variable} can't be read: a quotation mark is missing.") from None
        except OSError as error:
            raise SettingsError(f"The command of {variable} can't be started ({error.strerror}).") from None
        if done.returncode != 0:
            raise SettingsError(f"The command of {variable} failed (exit code {done.returncode}).")
        try:
            return done.stdout.decode()
        except ValueError:
            raise SettingsError(f"The command of {variable} printed no text in UTF-8.") from None


SOURCES: Final[tuple[SecretSource, ...]] = (SecretFiles(), SecretCommands())


def read_secrets(names: Iterable[str], env_file: Path) -> dict[str, SourcedSecret]:
    """Return the secrets that are not in the environment itself, by the name of the setting, without white space.

    `names` are the names of secret settings; their variables are in the environment or in `env_file`. Raises
    SettingsError, which never shows a value, if a secret can't be read or is empty, or if it has two sources.
    """
    in_file = dotenv_values(env_file, encoding="utf-8-sig", interpolate=False) if env_file.is_file() else {}
    variables = {**in_file, **os.environ}
    return {name: secret for name in names if (secret := _secret(name, variables)) is not None}


def _secret(name: str, variables: Mapping[str, str | None]) -> SourcedSecret | None:
    given = [(source, f"{name}_{source.suffix}") for source in SOURCES if variables.get(f"{name}_{source.suffix}")]
    if not given:
        return None
    both = [*([name] if variables.get(name) else []), *(variable for _, variable in given)]
    if len(both) > 1:
        raise SettingsError(f"{both[0]} and {both[1]} are both set. Remove one of them.")
    source, variable = given[0]
    secret = source.read(variable, str(variables[variable])).strip()
    if not secret:
        raise SettingsError(f"The {source.suffix.lower()} that {variable} names is empty.")
    return SourcedSecret(secret, variable)
