"""Saved API keys are encrypted, with encryption keys that can be rotated, and are shown nowhere."""

import stat
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr

from core.errors import SettingsError
from core.vault import KEY_FILE, Vault, open_vault
from tests.core.harness import people, syncing

SECRET = "an-api-key-of-iterable"


def new_key() -> str:
    """A new encryption key."""
    return Fernet.generate_key().decode()


def test_encrypted_and_decrypted() -> None:
    """Decryption returns the secret, and its encrypted form does not contain it."""
    vault = Vault([new_key()])
    token = vault.encrypt(SECRET)
    assert vault.decrypt(token) == SECRET
    assert SECRET.encode() not in token


def test_rotation() -> None:
    """With a new key before the old one, old secrets can be read, and new secrets need only the new key."""
    old, new = new_key(), new_key()
    encrypted = Vault([old]).encrypt(SECRET)
    both = Vault([new, old])
    assert both.decrypt(encrypted) == SECRET
    assert Vault([new]).decrypt(both.encrypt(SECRET)) == SECRET


def test_values_have_one_data_key() -> None:
    """Values differ even if they are equal, can be read by another process, and share the key that comes with them."""
    key = new_key()
    vault = Vault([key])
    first, second = vault.encrypt_value(SECRET), vault.encrypt_value(SECRET)
    assert first != second
    assert first.split(b".")[:2] == second.split(b".")[:2]
    assert SECRET.encode() not in first
    assert Vault([key]).decrypt(first) == vault.decrypt(second) == SECRET
    assert Vault([key]).encrypt_value(SECRET).split(b".")[1] != first.split(b".")[1]


def test_rotation_of_values() -> None:
    """Of a value only the data key is encrypted again, with the newest key: once."""
    old, new = new_key(), new_key()
    both, value = Vault([new, old]), Vault([old]).encrypt_value(SECRET)
    rotated = both.rotate(value)
    assert Vault([new]).decrypt(rotated) == SECRET
    assert rotated.split(b".")[2] == value.split(b".")[2]
    assert both.rotate(rotated) == rotated
    assert Vault([new]).can_decrypt(rotated)
    assert not Vault([new]).can_decrypt(value)
    with pytest.raises(SettingsError, match="Append the former key"):
        Vault([new]).rotate(value)


def test_a_changed_value_is_refused() -> None:
    """No part of a value can be changed, left out, or taken from another data key."""
    key = new_key()
    mark, data_key, sealed = Vault([key]).encrypt_value(SECRET).split(b".")
    other = Vault([key]).encrypt_value(SECRET).split(b".")[1]
    flipped = (b"A" if sealed[:1] != b"A" else b"B") + sealed[1:]
    for parts in ((mark, data_key, flipped), (mark, other, sealed), (mark, data_key, b""), (mark, data_key), (mark,)):
        assert not Vault([key]).can_decrypt(b".".join(parts))


@pytest.mark.parametrize(
    "token", [Vault([new_key()]).encrypt(SECRET), Vault([new_key()]).encrypt_value(SECRET), b"", b"damaged"]
)
def test_wrong_key(token: bytes) -> None:
    """An error for a secret that can't be decrypted says what to do, and does not show the key."""
    own_key = new_key()
    with pytest.raises(SettingsError, match="Append the former key to the new one") as refused:
        Vault([own_key]).decrypt(token)
    assert own_key not in str(refused.value)
    assert refused.value.__cause__ is None


def test_wrong_key_is_named(tmp_path: Path) -> None:
    """The error for a secret that can't be decrypted names the variable or the file that has the key."""
    token = Vault([new_key()]).encrypt(SECRET)
    with pytest.raises(SettingsError, match="ITERABLE_SYNC_SECRET_KEY_COMMAND is not the key that it was saved with"):
        open_vault(SecretStr(new_key()), tmp_path, "ITERABLE_SYNC_SECRET_KEY_COMMAND").decrypt(token)
    with pytest.raises(SettingsError, match=r"secret\.key is not the key that .* Put the former file back"):
        open_vault(None, tmp_path).decrypt(token)


@pytest.mark.parametrize("wrong", ["", "short", "ü" * 44, "!" * 44])
def test_invalid_key(wrong: str) -> None:
    """An error for an invalid key says how to create one, and does not show it."""
    with pytest.raises(SettingsError, match="is not a key") as refused:
        Vault([new_key(), wrong])
    assert not wrong or wrong not in str(refused.value)


def test_keys_of_the_setting(tmp_path: Path) -> None:
    """The setting contains keys separated by commas, newest first, and then no key file is created."""
    old, new = new_key(), new_key()
    encrypted = Vault([old]).encrypt(SECRET)
    assert open_vault(SecretStr(f"{new}, {old}"), tmp_path).decrypt(encrypted) == SECRET
    assert list(tmp_path.iterdir()) == []


def test_generated_key(tmp_path: Path) -> None:
    """Without the setting, a key that only its owner may read is created once."""
    encrypted = open_vault(None, tmp_path).encrypt(SECRET)
    assert stat.S_IMODE((tmp_path / KEY_FILE).stat().st_mode) == 0o600
    assert open_vault(None, tmp_path).decrypt(encrypted) == SECRET


def test_damaged_key_file(tmp_path: Path) -> None:
    """A key file without a key fails with a clear error."""
    (tmp_path / KEY_FILE).write_text("")
    with pytest.raises(SettingsError, match="no longer contains a key"):
        open_vault(None, tmp_path)


def test_representation_shows_no_key() -> None:
    """Printing the vault or its attributes shows no key."""
    own_key = new_key()
    assert own_key not in repr(Vault([own_key]))
    assert own_key not in str(vars(Vault([own_key])))


async def test_key_is_nowhere_in_the_data_directory(tmp_path: Path) -> None:
    """After a run with the environment's API key, no file contains that key."""
    async with syncing(tmp_path) as sync:
        await sync.mirror(people(range(3)))
        secret = sync.iterable.key.encode()
    files = [path for path in (tmp_path / "data").rglob("*") if path.is_file()]
    assert files
    assert [path.name for path in files if secret in path.read_bytes()] == []
