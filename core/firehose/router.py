"""The router of messages: finds the connection of an mParticle account, and the mapping of an audience.

If no one has saved a connection for the account, the router creates one from the settings in the message, which are
those of the hosted integration. If an audience has no mapping yet, the router proposes one.
"""

import hashlib
import itertools
import json
import math
import time
from collections.abc import Iterable

from sqlalchemy.ext.asyncio import AsyncConnection

from core.connections import manage
from core.engine import Engine
from core.firehose.module_registration import API_KEY, LIST_ID, USER_ID_FIELD
from core.firehose.schema import Account, AudienceMembershipChangeRequest
from core.identity import UserIdField
from core.iterable import DataCenter
from core.settings import FirehoseApproval
from core.store import audit_log, connections, live_mappings, mappings
from core.store.audit_log import MPARTICLE, AuditAction
from core.store.connections import DEFAULT_RATE, Connection, ConnectionUpdate, project_of
from core.store.mappings import ENDED, NO_LIST, AudienceMapping, LiveOffer, MappingStatus, MappingUpdate

_LARGEST_LIST = 2**31 - 1
# How long connections and mappings are cached, in seconds.
CACHE_S = 0.5


class RouteCache:
    """A short-lived cache of connections and mappings, so that most messages need no look-up."""

    def __init__(self) -> None:
        """Start empty."""
        self.connections: dict[str, Connection] = {}
        self.mappings: dict[tuple[str, str, str], AudienceMapping] = {}
        self.time_zones: dict[int, str] | None = None
        """Those of all mappings that have another than UTC; None: not read yet."""
        self._since = -math.inf

    def forget(self) -> None:
        """Clear the cache."""
        self._since = time.monotonic()
        self.connections.clear()
        self.mappings.clear()
        self.time_zones = None

    def forget_old(self) -> None:
        """Clear the cache if it is older than CACHE_S."""
        if time.monotonic() - self._since > CACHE_S:
            self.forget()


class Router:
    """Finds connections and mappings, or creates them if they are missing. Lives as long as one transaction."""

    def __init__(self, db: AsyncConnection, engine: Engine, cache: RouteCache) -> None:
        """Store the transaction and the cache. No I/O."""
        self._db = db
        self._engine = engine
        cache.forget_old()
        self._cache = cache
        self._connections, self._mappings = cache.connections, cache.mappings
        self._current: dict[int, AudienceMapping] = {}

    async def connection(self, account: Account) -> Connection:
        """Return the connection of an account. One that a person saved takes precedence over the message's settings."""
        account_id, digest = str(account.account_id), _settings_digest(account)
        connection = await self.find_connection(account)
        if connection is None:
            connection = await self._create_connection(account_id, account, digest)
        elif connection.mparticle_settings_digest not in (None, digest) and account.account_settings.get(API_KEY):
            connection = await self._apply_settings(connection, account, digest)
        self._connections[account_id] = connection
        return connection

    async def find_connection(self, account: Account) -> Connection | None:
        """Return the connection of an account, matched by its id or else by its key, or None."""
        account_id = str(account.account_id)
        connection = self._connections.get(account_id) or await connections.of_account(self._db, account_id)
        connection = connection or await self._link_by_key(account_id, account)
        if connection is not None:
            self._connections[account_id] = connection
        return connection

    async def current(self, mapping: AudienceMapping) -> AudienceMapping:
        """Return a mapping as it is stored now, for a message with attributes: its data fields decide what is kept."""
        if mapping.id not in self._current:
            self._current[mapping.id] = await mappings.by_id(self._db, mapping.id) or mapping
        return self._current[mapping.id]

    async def is_uninstalled(self, account: Account) -> bool:
        """Return whether the workspace of an account's connection has removed the app. If so, nothing is stored."""
        connection = await self.find_connection(account)
        return connection is not None and connection.uninstalled_at is not None

    async def mapping(
        self, account: Account, audience_id: int, audience_name: str, settings: dict[str, str]
    ) -> AudienceMapping:
        """Return the mapping of an audience. If there is none, propose one."""
        mapping = await self.find_mapping(account, audience_id, settings)
        if mapping is None:
            connection = await self.connection(account)
            mapping = await self._propose_new(connection, account, audience_id, audience_name, settings)
            self.keep(mapping)
        return mapping

    async def look_up(self, requests: Iterable[AudienceMembershipChangeRequest]) -> None:
        """Cache the mappings of the audiences in these messages, with one query. Those that are missing are not."""
        wanted = {
            (
                str(request.account.account_id),
                str(audience.audience_id),
                list_setting(audience.audience_subscription_settings),
            )
            for request in requests
            for profile in request.user_profiles
            for audience in profile.audiences
        }
        if missing := wanted - self._mappings.keys():
            accounts, audiences = ({key[place] for key in missing} for place in (0, 1))
            for mapping in await live_mappings.of_audiences(self._db, accounts, audiences):
                self.keep(mapping)

    async def time_zones(self) -> dict[int, str]:
        """Return the time zones of mappings by which their days begin, as far as they differ from UTC."""
        if self._cache.time_zones is None:
            self._cache.time_zones = await live_mappings.time_zones(self._db)
        return self._cache.time_zones

    async def find_mapping(
        self, account: Account, audience_id: int, settings: dict[str, str]
    ) -> AudienceMapping | None:
        """Return the mapping of an audience, or None."""
        key = (str(account.account_id), str(audience_id), list_setting(settings))
        if key not in self._mappings:
            for mapping in await live_mappings.of_audiences(self._db, [key[0]], [key[1]]):
                self.keep(mapping)
        return self._mappings.get(key)

    def keep(self, mapping: AudienceMapping) -> None:
        """Cache a mapping."""
        self._mappings[
            mapping.mparticle_account_id or "", mapping.audience_id or "", mapping.firehose_list_setting or ""
        ] = mapping

    def forget(self, mapping: AudienceMapping) -> None:
        """Remove a mapping from the cache that no longer belongs to its account."""
        self._mappings.pop(
            (mapping.mparticle_account_id or "", mapping.audience_id or "", mapping.firehose_list_setting or ""), None
        )

    async def propose(self, mapping: AudienceMapping) -> AudienceMapping:
        """Propose a mapping, or activate it at once if no approval is required and it has a list."""
        state = self._first_state(mapping.list_id)
        await mappings.change(
            self._db,
            mapping.id,
            status=state,
            is_live=True,
            disconnected_at=None,
            bulk_removal_cursor=None,
            delete_at=None,
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
        proposed = await mappings.by_id(self._db, mapping.id)
        assert proposed is not None
        self.keep(proposed)
        return proposed

    async def _propose_new(
        self, connection: Connection, account: Account, audience_id: int, name: str, settings: dict[str, str]
    ) -> AudienceMapping:
        setting = list_setting(settings)
        list_id = list_of(setting)
        source: MappingUpdate = {
            "mparticle_account_id": str(account.account_id),
            "firehose_list_setting": setting,
            "is_live": True,
        }
        for candidate in await live_mappings.of_lists_without_source(self._db, connection.id, str(audience_id)):
            if list_id in (NO_LIST, candidate.list_id) and candidate.status not in ENDED:
                return await self._offer(candidate, source)
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
        mapping = await mappings.by_id(self._db, mapping_id)
        assert mapping is not None
        return await self.propose(mapping)

    async def _offer(self, mapping: AudienceMapping, source: MappingUpdate) -> AudienceMapping:
        """Offer mParticle as the source of a mapping that files feed. A person decides, if approval is required."""
        needs_no_approval = self._engine.settings.firehose_approval is FirehoseApproval.NONE
        offer = LiveOffer.ANNOUNCED if needs_no_approval else LiveOffer.PROPOSED
        source = {**source, "is_live": needs_no_approval, "live_offer": offer}
        await mappings.change(self._db, mapping.id, **source)
        connection = await connections.by_id(self._db, mapping.connection_id)
        await audit_log.add(
            self._db,
            team_id=connection.team_id if connection else None,
            actor=MPARTICLE,
            action=AuditAction.MAPPING_CHANGED if needs_no_approval else AuditAction.MAPPING_PROPOSED,
            subject=f"mapping:{mapping.id}",
            before={"live": False},
            after={"live": True, "list_id": mapping.list_id},
        )
        offered = await mappings.by_id(self._db, mapping.id)
        assert offered is not None
        return offered

    def _first_state(self, list_id: int) -> MappingStatus:
        needs_no_approval = self._engine.settings.firehose_approval is FirehoseApproval.NONE
        return MappingStatus.ACTIVE if needs_no_approval and list_id != NO_LIST else MappingStatus.PROPOSED

    async def _link_by_key(self, account_id: str, account: Account) -> Connection | None:
        """Find the connection that a person saved with the key in the message, and link it to the account.

        A former key of the connection matches, too: mParticle keeps sending the key that was entered there, and the key
        that a person saved takes precedence. Returns None unless exactly one connection matches.
        """
        key = account.account_settings.get(API_KEY, "").strip()
        if not key:
            return None
        saved = [
            connection for connection in await connections.everyone(self._db) if connection.mparticle_account_id is None
        ]
        matching = manage.with_key(self._engine, saved, key) or [
            connection for connection in saved if connection.api_key is not None and connection.had_key(key)
        ]
        if len(matching) != 1:
            return None
        await connections.change(self._db, matching[0].id, mparticle_account_id=account_id)
        await audit_log.add(
            self._db,
            team_id=matching[0].team_id,
            actor=MPARTICLE,
            action=AuditAction.CONNECTION_CHANGED,
            subject=f"connection:{matching[0].id}",
            after={"mparticle_account": account_id},
        )
        return await connections.by_id(self._db, matching[0].id)

    async def _create_connection(self, account_id: str, account: Account, settings_digest: str) -> Connection:
        key = account.account_settings.get(API_KEY, "").strip()
        name = await self._free_name(account_id)
        connection_id = await connections.add(
            self._db,
            name=name,
            # a connection without a key uses the one in the environment
            api_key=self._engine.vault.encrypt(key) if key else None,
            key_last4=key[-4:],
            rate_limit_key=project_of(key) if key else "",
            data_center=DataCenter.US,
            user_id_field=_user_id_field(account),
            requests_per_second=DEFAULT_RATE,
        )
        await connections.change(
            self._db, connection_id, mparticle_account_id=account_id, mparticle_settings_digest=settings_digest
        )
        await audit_log.add(
            self._db,
            team_id=None,
            actor=MPARTICLE,
            action=AuditAction.CONNECTION_ADDED,
            subject=f"connection:{connection_id}",
            after={"name": name},
        )
        connection = await connections.by_id(self._db, connection_id)
        assert connection is not None
        return connection

    async def _free_name(self, account_id: str) -> str:
        """Return a free name for the connection of an account."""
        numbers = itertools.count(2)
        name = base = f"mparticle-{account_id}"
        while await connections.by_name(self._db, name, None) is not None:
            name = f"{base}-{next(numbers)}"
        return name

    async def _apply_settings(self, connection: Connection, account: Account, settings_digest: str) -> Connection:
        """Apply settings that were changed in mParticle to a connection that was created from such settings."""
        key = account.account_settings[API_KEY].strip()
        values: ConnectionUpdate = {
            "user_id_field": _user_id_field(account),
            "mparticle_settings_digest": settings_digest,
        }
        if project_of(key) not in connection.previous_key_digests:  # otherwise a person has replaced that key since
            values |= {"api_key": self._engine.vault.encrypt(key), "key_last4": key[-4:], "key_rejected_at": None}
        await connections.change(self._db, connection.id, **values)
        await audit_log.add(
            self._db,
            team_id=connection.team_id,
            actor=MPARTICLE,
            action=AuditAction.CONNECTION_CHANGED,
            subject=f"connection:{connection.id}",
        )
        changed = await connections.by_id(self._db, connection.id)
        assert changed is not None
        return changed


def list_setting(settings: dict[str, str]) -> str:
    """Return the list setting of an audience as entered in mParticle, or an empty string."""
    return settings.get(LIST_ID, "").strip()


def list_of(setting: str) -> int:
    """Return the id of the list that a setting names, or NO_LIST."""
    if not (setting.isascii() and setting.isdecimal()):
        return NO_LIST
    number = int(setting) if len(setting) < 20 else 0
    return number if number <= _LARGEST_LIST else NO_LIST


def _user_id_field(account: Account) -> UserIdField:
    setting = account.account_settings.get(USER_ID_FIELD, "").strip()
    # the hosted integration, too, takes everything but mpid for the customer id
    return UserIdField.MPID if setting == UserIdField.MPID.value else UserIdField.CUSTOMER_ID


def _settings_digest(account: Account) -> str:
    """Return a digest of the settings that define a connection, to detect changes without storing the key."""
    values = [account.account_settings.get(API_KEY, "").strip(), _user_id_field(account).value]
    return hashlib.sha256(json.dumps(["iterable-sync:settings", *values]).encode()).hexdigest()[:24]
