"""Encryption of API keys and other values at rest, with keys that can be rotated."""

import base64
import binascii
import contextlib
import os
import tempfile
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr

from core.errors import SettingsError

if TYPE_CHECKING:  # slow to import, and many commands read no secret
    from cryptography.fernet import Fernet, MultiFernet
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

# Bytes of a key.
_KEY_BYTES = 32
KEY_FILE = "secret.key"
# How a value begins that is encrypted with a data key: then come that key, encrypted, a period, and the value.
_BY_DATA_KEY = b"dk1."
# Random bytes of each such value. A data key is used for far fewer values than random bytes may repeat for (2^32).
_NONCE_BYTES, _MOST_VALUES = 12, 1 << 24
# Data keys that are kept in memory: each process makes one.
_MOST_DATA_KEYS = 100
#: The setting with the secret keys.
SETTING = "ITERABLE_SYNC_SECRET_KEY"


class Vault:
    """Encrypts short secrets with the newest key, and decrypts with any key."""

    def __init__(self, keys: list[str], place: str = SETTING) -> None:
        """Take Fernet keys, newest first, and the variable or the file that has them, for errors.

        Raises SettingsError if one is invalid.
        """
        self._place = place
        self._keys = [SecretStr(key.strip()) for key in keys]
        self._data_keys: dict[bytes, AESGCM] = {}
        self._data_key, self._values = b"", 0
        if not all(map(_is_key, self._keys)):
            raise SettingsError(
                f"{place} is not a key ({_KEY_BYTES} bytes in URL-safe base64). Make one with: "
                "python -c 'from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())'"
            )

    @cached_property
    def _newest(self) -> "Fernet":
        from cryptography.fernet import Fernet

        return Fernet(self._keys[0].get_secret_value())

    @cached_property
    def _fernet(self) -> "MultiFernet":
        from cryptography.fernet import Fernet, MultiFernet

        return MultiFernet([Fernet(key.get_secret_value()) for key in self._keys])

    def encrypt(self, secret: str) -> bytes:
        """Return the encrypted secret."""
        return self._fernet.encrypt(secret.encode())

    def encrypt_value(self, value: str) -> bytes:
        """Return one of many values, encrypted: both ways cost a fraction of what a secret costs.

        It is encrypted with a data key of this vault, which comes with it, encrypted as a secret.
        """
        if not self._data_key or self._values == _MOST_VALUES:
            self._data_key, self._values = self.encrypt(_new_data_key()), 0
        self._values += 1
        nonce = os.urandom(_NONCE_BYTES)
        sealed = nonce + self._cipher(self._data_key).encrypt(nonce, value.encode(), None)
        return b"".join((_BY_DATA_KEY, self._data_key, b".", binascii.b2a_base64(sealed, newline=False)))

    def decrypt(self, token: bytes) -> str:
        """Return the secret, or the value. Raises SettingsError if no key fits."""
        try:
            return self._opened(token).decode()
        except Exception as error:
            if not _is_unreadable(error):
                raise
            remedy = (
                "Put the former file back, for example from a backup"
                if self._place == KEY_FILE
                else "Append the former key to the new one, separated by a comma"
            )
            raise SettingsError(
                f"A saved API key or secret can't be decrypted: {self._place} is not the key that it was saved with. "
                f"{remedy}, or save the connection again."
            ) from None

    def can_decrypt(self, token: bytes) -> bool:
        """Return whether a key fits."""
        try:
            self._opened(token)
        except Exception as error:
            if not _is_unreadable(error):
                raise
            return False
        return True

    def rotate(self, token: bytes) -> bytes:
        """Return the secret encrypted with the newest key: unchanged if it is. Raises SettingsError if no key fits.

        Of a value, the data key is encrypted again.
        """
        if not token.startswith(_BY_DATA_KEY):
            return self._rotated(token)
        data_key, _, sealed = token.removeprefix(_BY_DATA_KEY).partition(b".")
        return b"".join((_BY_DATA_KEY, self._rotated(data_key), b".", sealed))

    def _rotated(self, token: bytes) -> bytes:
        from cryptography.fernet import InvalidToken

        try:
            self._newest.decrypt(token)
        except InvalidToken:
            return self.encrypt(self.decrypt(token))
        return token

    def _opened(self, token: bytes) -> bytes:
        if not token.startswith(_BY_DATA_KEY):
            return self._fernet.decrypt(token)
        data_key, _, sealed = token.removeprefix(_BY_DATA_KEY).partition(b".")
        value = binascii.a2b_base64(sealed)
        return self._cipher(data_key).decrypt(value[:_NONCE_BYTES], value[_NONCE_BYTES:], None)

    def _cipher(self, data_key: bytes) -> "AESGCM":
        """Return the cipher of an encrypted data key."""
        known = self._data_keys.get(data_key)
        if known is None:
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM

            if len(self._data_keys) == _MOST_DATA_KEYS:
                self._data_keys.clear()
            known = self._data_keys[data_key] = AESGCM(base64.urlsafe_b64decode(self._fernet.decrypt(data_key)))
        return known


def open_vault(secret_key: SecretStr | None, data_dir: Path, place: str = SETTING) -> Vault:
    """Return a vault with the keys of the setting, or with the key file in the data directory, created if missing.

    `place` is the variable that the setting comes from. Raises SettingsError if a key is invalid.
    """
    if secret_key is not None:
        return Vault(secret_key.get_secret_value().split(","), place)
    path = data_dir / KEY_FILE
    if not path.exists():
        _make_key(path)
    try:
        return Vault(_keys_in(path), KEY_FILE)
    except (SettingsError, ValueError):
        raise SettingsError(
            f"{path} no longer contains a key. Restore it from a backup; without it, saved API keys can't be decrypted "
            "and have to be saved again (delete the file, and a new key is made)."
        ) from None


def add_key(data_dir: Path) -> Vault:
    """Add a new key to the key file before the present one, and return the vault with both.

    If the file has two keys already, an earlier change was interrupted: then none is added.
    """
    path = data_dir / KEY_FILE
    keys = _keys_in(path)
    if len(keys) == 1:
        keys = [_new_key().decode(), *keys]
        _replace_keys(path, keys)
    return Vault(keys, KEY_FILE)


def drop_old_keys(data_dir: Path) -> None:
    """Leave only the newest key in the key file."""
    path = data_dir / KEY_FILE
    _replace_keys(path, _keys_in(path)[:1])


def _is_unreadable(error: Exception) -> bool:
    """Return whether an error says that no key fits, or that an encrypted text is damaged."""
    from cryptography.exceptions import InvalidTag  # here, because to import them takes longer than to decrypt a value
    from cryptography.fernet import InvalidToken

    return isinstance(error, InvalidToken | InvalidTag | ValueError)


def _is_key(key: SecretStr) -> bool:
    """Return whether Fernet accepts a key."""
    try:
        return len(base64.urlsafe_b64decode(key.get_secret_value())) == _KEY_BYTES
    except ValueError:
        return False


def _new_data_key() -> str:
    return base64.urlsafe_b64encode(os.urandom(_KEY_BYTES)).decode()


def _new_key() -> bytes:
    from cryptography.fernet import Fernet

    return Fernet.generate_key()


def _keys_in(path: Path) -> list[str]:
    """Return the keys in a key file, newest first: one, and the one before while it is being replaced."""
    return path.read_text(encoding="ascii").split() or [""]


def _replace_keys(path: Path, keys: list[str]) -> None:
    """Replace the key file atomically."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=KEY_FILE, delete=False) as file:  # its mode is 0600
        file.write("\n".join(keys).encode("ascii"))
        file.flush()
        os.fsync(file.fileno())
    Path(file.name).replace(path)


def _make_key(path: Path) -> None:
    """Write a new key file atomically, even if two processes start at once."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=KEY_FILE) as file:  # its mode is 0600
        file.write(_new_key())
        file.flush()
        os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(file.name, path)
