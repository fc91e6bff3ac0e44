"""The secret key is lost: commands say so, and `iterable-sync rekey --lost` gives up what only it could decrypt."""

from bot.cli.commands.rekey import OF_TABLES
from bot.slack.installation_store import encrypted_columns
from core.vault import KEY_FILE
from tests.bot.cli.commands import Commands, LocalIterable
from tests.core.privacy.stored_secrets import ENCRYPTED


def test_on_the_command_line(run: Commands, iterable: LocalIterable) -> None:
    """Without the key, commands and doctor say what to do; after `rekey --lost` and a new API key, a sync works."""
    list_id = iterable.new_list()
    run.here("connections", "add", "shop")
    synced = ("--list", list_id, "--connection", "shop")
    assert run.here("sync", run.audience(range(3)), *synced).code == 0
    (run.folder / "data" / KEY_FILE).unlink()

    refused = run.here("sync", run.audience(range(4)), *synced)
    assert refused.code == 2
    assert "secret.key is missing in the data directory" in refused.err
    assert "If it is lost:  iterable-sync rekey --lost" in refused.err
    examined = run.here("doctor")
    assert examined.code == 1
    assert "WRONG  secret key: secret.key is missing" in examined.out
    assert not (run.folder / "data" / KEY_FILE).exists()

    asked = run.here("rekey", "--lost")
    assert asked.code == 3
    assert "1 API key: iterable-sync connections key NAME" in asked.out
    assert not (run.folder / "data" / KEY_FILE).exists()
    assert run.here("rekey", "--lost", "--yes").code == 0
    assert run.here("connections", "key", "shop").code == 0
    again = run.here("sync", run.audience(range(4)), *synced, "--json")
    assert (again.object["added"], again.object["unchanged"]) == (1, 3)
    assert "All stored secrets can be decrypted" in run.here("rekey", "--lost").out


def test_each_secret_has_a_remedy() -> None:
    """For each table with secrets, the command says what to do."""
    assert {column.table.name for column in (*ENCRYPTED, *encrypted_columns())} == set(OF_TABLES)
