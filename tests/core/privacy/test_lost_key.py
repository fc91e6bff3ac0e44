"""The secret key is lost: that is said before a new one is made, and syncs work again without what it encrypted."""

from pathlib import Path

import pytest
from sqlalchemy import delete, select

from core.connections.exclusions import ExclusionInput, change_exclusions
from core.engine import open_engine
from core.errors import SecretKeyMissingError
from core.models.exclusions import ExclusionKind
from core.privacy.lost_key import find_lost, give_up_lost
from core.store import audit_log, erasures, mappings, salts, suppressions
from core.store.mappings import MappingStatus
from core.store.tables import erased_identities
from core.store.tables import mappings as mappings_table
from core.store.tables import routes as routes_table
from core.vault import KEY_FILE
from tests.core.databases import on_both
from tests.core.privacy.stored_secrets import ENCRYPTED, fill, settings_with, value_of
from tests.core.store.seeds import add_mapping

ALL_SALTS = frozenset({salts.ERASURE, salts.DATA_FIELDS, salts.EXCLUSIONS, salts.CONFIGURATION})


@on_both
async def test_what_is_given_up(tmp_path: Path, database_url: str) -> None:
    """Salts, erasures and attributes are deleted, excluded addresses need approval, and the rest stays unreadable."""
    settings = settings_with(tmp_path, database_url)
    async with open_engine(settings, "test") as engine:
        await fill(engine.database, engine.vault)
        async with engine.database.read() as db:
            connection_id = (await db.execute(select(mappings_table.c.connection_id))).scalars().first()
        async with engine.database.write() as db:
            await db.execute(delete(routes_table))  # it has no known kind, so that no webhook could be chosen
        mapping = await add_mapping(engine.database, connection_id, list_id=7)
        excluded = ExclusionInput(addresses=["p1@example.com"], domains=["example.org"])
        await change_exclusions(engine, mapping.id, add=excluded, by="U1", team_id=None, allowed=None, approved=True)
        async with engine.database.write() as db:
            for name in ALL_SALTS:
                await salts.get_or_create(db, engine.vault, name)
            await erasures.mark_erased(db, "", ["digest"], 1)
    (settings.data_dir / KEY_FILE).unlink()

    with pytest.raises(SecretKeyMissingError, match="Put it back"):
        async with open_engine(settings, "test"):
            pass
    assert not (settings.data_dir / KEY_FILE).exists()

    async with open_engine(settings, "test", replaces_lost_key=True) as engine:
        lost = await find_lost(engine)
        assert await give_up_lost(engine) == lost
        assert set(lost.by_table) == {column.table.name for column in ENCRYPTED} - {routes_table.name}
        assert lost.salts >= ALL_SALTS
        assert lost.excluding == (mapping.label,)
        left = await find_lost(engine)
        assert set(left.by_table) == set(lost.by_table) - {"salts", "inbox", "erasures"}
        async with engine.database.write() as db:
            changed = await mappings.by_id(db, mapping.id)
            assert changed is not None
            assert changed.status is MappingStatus.PROPOSED
            assert [each.kind for each in changed.exclusions] == [ExclusionKind.DOMAIN]
            assert (await db.execute(select(erased_identities))).first() is None
            assert await suppressions.of_connection(db, engine.vault, mapping.connection_id) is None
            assert await salts.get_or_create(db, engine.vault, salts.DATA_FIELDS)
            newest = (await audit_log.page(db, team_id=None, after_id=0, limit=100))[-1]
        assert newest.action == "secret_key.lost"
    async with open_engine(settings, "test") as engine:  # the new key counts now
        assert await value_of(engine.database, ENCRYPTED[0]) is not None


async def test_wrong_key_in_the_setting(tmp_path: Path) -> None:
    """With a readable secret nothing is lost; a key of the setting that fits nothing is not replaced."""
    settings = settings_with(tmp_path, None)
    async with open_engine(settings, "test") as engine:
        async with engine.database.write() as db:
            await salts.get_or_create(db, engine.vault, salts.DATA_FIELDS)
        assert (await find_lost(engine)).by_table == {}
        assert (await give_up_lost(engine)).by_table == {}
        async with engine.database.read() as db:
            assert await salts.find(db, engine.vault, salts.DATA_FIELDS)
