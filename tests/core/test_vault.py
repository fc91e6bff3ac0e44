"""Saved API keys: encrypted, with keys that can be rotated, and shown nowhere."""

import stat
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr

from core.errors import SettingsError
from core.vault import KEY_FILE, Vault, open_vault
from tests.core.harness import people, syncing

SECRET = "an-api-key-of-iterable"


def key() -> str:
    """A new key."""
    return Fernet.generate_key().decode()


def test_encrypted_and_decrypted() -> None:
    """A secret comes back as it was, and what is stored does not hold it."""
    vault = Vault([key()])
    token = vault.encrypt(SECRET)
    assert vault.decrypt(token) == SECRET
    assert SECRET.encode() not in token


def test_rotation() -> None:
    """With a new key before the old one, what the old one encrypted can be read, and what is new needs only the new."""
    old, new = key(), key()
    saved = Vault([old]).encrypt(SECRET)
    both = Vault([new, old])
    assert both.decrypt(saved) == SECRET
    assert Vault([new]).decrypt(both.encrypt(SECRET)) == SECRET


@pytest.mark.parametrize("token", [Vault([key()]).encrypt(SECRET), b"", b"damaged"])
def test_wrong_key(token: bytes) -> None:
    """A secret that can't be decrypted is a sentence that says what to do, without the key."""
    mine = key()
    with pytest.raises(SettingsError, match="Append the former key to the new one") as refused:
        Vault([mine]).decrypt(token)
    assert mine not in str(refused.value)
    assert refused.value.__cause__ is None


@pytest.mark.parametrize("wrong", ["", "short", "ü" * 44, "!" * 44])
def test_what_is_no_key(wrong: str) -> None:
    """What is not a key is refused with the way to make one, and is not shown."""
    with pytest.raises(SettingsError, match="is not a key") as refused:
        Vault([key(), wrong])
    assert not wrong or wrong not in str(refused.value)


def test_keys_of_the_setting(tmp_path: Path) -> None:
    """The setting holds keys separated by commas, newest first, and then no file is made."""
    old, new = key(), key()
    saved = Vault([old]).encrypt(SECRET)
    assert open_vault(SecretStr(f"{new}, {old}"), tmp_path).decrypt(saved) == SECRET
    assert list(tmp_path.iterdir()) == []


def test_generated_key(tmp_path: Path) -> None:
    """Without the setting a key is made once, which only its owner may read."""
    saved = open_vault(None, tmp_path).encrypt(SECRET)
    assert stat.S_IMODE((tmp_path / KEY_FILE).stat().st_mode) == 0o600
    assert open_vault(None, tmp_path).decrypt(saved) == SECRET


def test_damaged_key_file(tmp_path: Path) -> None:
    """A key file that holds no key is a sentence."""
    (tmp_path / KEY_FILE).write_text("")
    with pytest.raises(SettingsError, match="no longer contains a key"):
        open_vault(None, tmp_path)


def test_representation_shows_no_key() -> None:
    """Neither the vault nor what it is made of shows a key."""
    mine = key()
    assert mine not in repr(Vault([mine]))
    assert mine not in str(vars(Vault([mine])))


async def test_key_is_nowhere_in_the_data_directory(tmp_path: Path) -> None:
    """After a run with the key of the environment, no file holds it."""
    async with syncing(tmp_path) as sync:
        await sync.mirror(people(range(3)))
        secret = sync.iterable.key.encode()
    files = [path for path in (tmp_path / "data").rglob("*") if path.is_file()]
    assert files
    assert [path.name for path in files if secret in path.read_bytes()] == []
