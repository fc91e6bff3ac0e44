"""What a message is for: the connection of its mParticle account, and the mapping of an audience.

Where nobody has saved a connection for the account, one is made of the settings in the message, as the hosted
integration uses them; where an audience has no mapping yet, one is proposed.
"""

import hashlib
import itertools
import json
import math
import time

from sqlalchemy.ext.asyncio import AsyncConnection

from core.connections import manage
from core.engine import Engine
from core.firehose.module_registration import API_KEY, LIST_ID, USER_ID_FIELD
from core.firehose.schema import Account
from core.identity import UserIdField
from core.iterable import DataCenter
from core.settings import FirehoseApproval
from core.store import audit_log, connections, live_mappings, mappings
from core.store.audit_log import MPARTICLE, AuditAction
from core.store.connections import DEFAULT_RATE, Connection, ConnectionUpdate, project_of
from core.store.mappings import NO_LIST, AudienceMapping, LiveOffer, MappingStatus, MappingUpdate

_LARGEST_LIST = 2**31 - 1
# How long connections and mappings are taken for what they were, in seconds.
MOMENT_S = 0.5


class RouteCache:
    """Connections and mappings as they were a moment ago: of most messages they need not be looked up."""

    def __init__(self) -> None:
        """Begin with none."""
        self.connections: dict[str, Connection] = {}
        self.mappings: dict[tuple[str, str, str], AudienceMapping] = {}
        self._since = -math.inf

    def forget(self) -> None:
        """Look everything up again."""
        self._since = time.monotonic()
        self.connections.clear()
        self.mappings.clear()

    def forget_old(self) -> None:
        """Look everything up again, if the moment is over."""
        if time.monotonic() - self._since > MOMENT_S:
            self.forget()


class Router:
    """Finds, and where they are missing makes, connections and mappings. Lives as long as one transaction."""

    def __init__(self, db: AsyncConnection, engine: Engine, known: RouteCache) -> None:
        """Take the transaction, and what is known."""
        self._db = db
        self._engine = engine
        known.forget_old()
        self._connections, self._mappings = known.connections, known.mappings

    async def connection(self, account: Account) -> Connection:
        """Return the connection of an account. One that a person saved wins over what the message says."""
        account_id, offered = str(account.account_id), _offered(account)
        found = await self.known_connection(account)
        if found is None:
            found = await self._made(account_id, account, offered)
        elif found.mparticle_settings_digest not in (None, offered) and account.account_settings.get(API_KEY):
            found = await self._changed(found, account, offered)
        self._connections[account_id] = found
        return found

    async def known_connection(self, account: Account) -> Connection | None:
        """Return the connection of an account, if there is one: that with its id, or that with its key."""
        account_id = str(account.account_id)
        found = self._connections.get(account_id) or await connections.of_account(self._db, account_id)
        found = found or await self._with_the_key(account_id, account)
        if found is not None:
            self._connections[account_id] = found
        return found

    async def is_uninstalled(self, account: Account) -> bool:
        """Whether the workspace of an account's connection has removed the app: nothing is stored for it then."""
        found = await self.known_connection(account)
        return found is not None and found.uninstalled_at is not None

    async def mapping(
        self, account: Account, audience_id: int, audience_name: str, settings: dict[str, str]
    ) -> AudienceMapping:
        """Return the mapping of an audience, proposed where there is none."""
        found = await self.known(account, audience_id, settings)
        if found is None:
            connection = await self.connection(account)
            found = await self._proposed(connection, account, audience_id, audience_name, settings)
            self.keep(found)
        return found

    async def known(self, account: Account, audience_id: int, settings: dict[str, str]) -> AudienceMapping | None:
        """Return the mapping of an audience, if there is one."""
        key = (str(account.account_id), str(audience_id), list_setting(settings))
        if key not in self._mappings:
            for each in await live_mappings.of_audiences(self._db, [key[0]], [key[1]]):
                self.keep(each)
        return self._mappings.get(key)

    def keep(self, mapping: AudienceMapping) -> None:
        """Remember a mapping as it is now."""
        self._mappings[
            mapping.mparticle_account_id or "", mapping.audience_id or "", mapping.firehose_list_setting or ""
        ] = mapping

    def forget(self, mapping: AudienceMapping) -> None:
        """Forget a mapping that this account's messages are not for any longer."""
        self._mappings.pop(
            (mapping.mparticle_account_id or "", mapping.audience_id or "", mapping.firehose_list_setting or ""), None
        )

    async def propose(self, mapping: AudienceMapping) -> AudienceMapping:
        """Make a mapping wait for approval; where none is required and a list is known, it is active at once."""
        state = self._first_state(mapping.list_id)
        await mappings.change(
            self._db, mapping.id, status=state, is_live=True, disconnected_at=None, bulk_removal_cursor=None
        )
        connection = await connections.by_id(self._db, mapping.connection_id)
        await audit_log.add(
            self._db,
            team_id=connection.team_id if connection else None,
            actor=MPARTICLE,
            action=AuditAction.MAPPING_PROPOSED if state is MappingStatus.PROPOSED else AuditAction.MAPPING_APPROVED,
            subject=f"mapping:{mapping.id}",
            after={"audience_id": mapping.audience_id, "list_id": mapping.list_id, "live": True},
        )
        found = await mappings.by_id(self._db, mapping.id)
        assert found is not None
        self.keep(found)
        return found

    async def _proposed(
        self, connection: Connection, account: Account, audience_id: int, name: str, settings: dict[str, str]
    ) -> AudienceMapping:
        wanted = list_setting(settings)
        list_id = list_of(wanted)
        source: MappingUpdate = {
            "mparticle_account_id": str(account.account_id),
            "firehose_list_setting": wanted,
            "is_live": True,
        }
        for each in await live_mappings.of_lists_without_source(self._db, connection.id, str(audience_id)):
            if list_id in (NO_LIST, each.list_id) and each.status is not MappingStatus.DECLINED:
                return await self._offer(each, source)
        mapping_id = await mappings.add(
            self._db,
            connection_id=connection.id,
            list_id=list_id,
            audience_id=str(audience_id),
            audience_name=name,
            status=MappingStatus.PROPOSED,
            proposed_by=MPARTICLE,
        )
        await mappings.change(self._db, mapping_id, **source)
        found = await mappings.by_id(self._db, mapping_id)
        assert found is not None
        return await self.propose(found)

    async def _offer(self, mapping: AudienceMapping, source: MappingUpdate) -> AudienceMapping:
        """Offer to feed a mapping that files feed: a person decides, unless the operator has approved in advance."""
        is_free = self._engine.settings.firehose_approval is FirehoseApproval.NONE
        offer = LiveOffer.ANNOUNCED if is_free else LiveOffer.PROPOSED
        source = {**source, "is_live": is_free, "live_offer": offer}
        await mappings.change(self._db, mapping.id, **source)
        connection = await connections.by_id(self._db, mapping.connection_id)
        await audit_log.add(
            self._db,
            team_id=connection.team_id if connection else None,
            actor=MPARTICLE,
            action=AuditAction.MAPPING_CHANGED if is_free else AuditAction.MAPPING_PROPOSED,
            subject=f"mapping:{mapping.id}",
            before={"live": False},
            after={"live": True, "list_id": mapping.list_id},
        )
        found = await mappings.by_id(self._db, mapping.id)
        assert found is not None
        return found

    def _first_state(self, list_id: int) -> MappingStatus:
        free = self._engine.settings.firehose_approval is FirehoseApproval.NONE
        return MappingStatus.ACTIVE if free and list_id != NO_LIST else MappingStatus.PROPOSED

    async def _with_the_key(self, account_id: str, account: Account) -> Connection | None:
        """The connection that a person saved with the key in the message: it is the account's from now on.

        Also where that key has been replaced since: mParticle goes on sending the one that was entered there until
        somebody changes it, and the key that a person saved wins.
        """
        key = account.account_settings.get(API_KEY, "").strip()
        if not key:
            return None
        saved = [each for each in await connections.everyone(self._db) if each.mparticle_account_id is None]
        same = manage.with_key(self._engine, saved, key) or [
            each for each in saved if each.api_key is not None and each.had_key(key)
        ]
        if len(same) != 1:
            return None
        await connections.change(self._db, same[0].id, mparticle_account_id=account_id)
        await audit_log.add(
            self._db,
            team_id=same[0].team_id,
            actor=MPARTICLE,
            action=AuditAction.CONNECTION_CHANGED,
            subject=f"connection:{same[0].id}",
            after={"mparticle_account": account_id},
        )
        return await connections.by_id(self._db, same[0].id)

    async def _made(self, account_id: str, account: Account, offered: str) -> Connection:
        key = account.account_settings.get(API_KEY, "").strip()
        name = await self._free_name(account_id)
        connection_id = await connections.add(
            self._db,
            name=name,
            # without a key in the message it is the one in the environment
            api_key=self._engine.vault.encrypt(key) if key else None,
            key_last4=key[-4:],
            rate_limit_key=project_of(key) if key else "",
            data_center=DataCenter.US,
            user_id_field=_user_id(account),
            requests_per_second=DEFAULT_RATE,
        )
        await connections.change(
            self._db, connection_id, mparticle_account_id=account_id, mparticle_settings_digest=offered
        )
        await audit_log.add(
            self._db,
            team_id=None,
            actor=MPARTICLE,
            action=AuditAction.CONNECTION_ADDED,
            subject=f"connection:{connection_id}",
            after={"name": name},
        )
        found = await connections.by_id(self._db, connection_id)
        assert found is not None
        return found

    async def _free_name(self, account_id: str) -> str:
        """A name for the connection of an account. One that a person chose says nothing about whose it is."""
        numbers = itertools.count(2)
        name = first = f"mparticle-{account_id}"
        while await connections.by_name(self._db, name, None) is not None:
            name = f"{first}-{next(numbers)}"
        return name

    async def _changed(self, connection: Connection, account: Account, offered: str) -> Connection:
        """Take over settings that were changed in mParticle, where they came from there before."""
        key = account.account_settings[API_KEY].strip()
        values: ConnectionUpdate = {"user_id_field": _user_id(account), "mparticle_settings_digest": offered}
        if project_of(key) not in connection.previous_key_digests:  # otherwise a person has replaced it since
            values |= {"api_key": self._engine.vault.encrypt(key), "key_last4": key[-4:], "key_rejected_at": None}
        await connections.change(self._db, connection.id, **values)
        await audit_log.add(
            self._db,
            team_id=connection.team_id,
            actor=MPARTICLE,
            action=AuditAction.CONNECTION_CHANGED,
            subject=f"connection:{connection.id}",
        )
        found = await connections.by_id(self._db, connection.id)
        assert found is not None
        return found


def list_setting(settings: dict[str, str]) -> str:
    """The list in an audience's settings, as it stands there; nothing where there is none."""
    return settings.get(LIST_ID, "").strip()


def list_of(setting: str) -> int:
    """The list that a setting names, or NO_LIST."""
    if not (setting.isascii() and setting.isdecimal()):
        return NO_LIST
    number = int(setting) if len(setting) < 20 else 0
    return number if number <= _LARGEST_LIST else NO_LIST


def _user_id(account: Account) -> UserIdField:
    wanted = account.account_settings.get(USER_ID_FIELD, "").strip()
    # as the hosted integration reads it: mpid or else the customer id
    return UserIdField.MPID if wanted == UserIdField.MPID.value else UserIdField.CUSTOMER_ID


def _offered(account: Account) -> str:
    """A digest of the settings that make a connection: tells whether they are others than before, and not what."""
    values = [account.account_settings.get(API_KEY, "").strip(), _user_id(account).value]
    return hashlib.sha256(json.dumps(["iterable-sync:settings", *values]).encode()).hexdigest()[:24]
