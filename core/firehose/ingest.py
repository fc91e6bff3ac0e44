"""Intake: a Firehose message is on disk before it is answered, and counts once even if it is delivered repeatedly."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from core.engine import Engine
from core.firehose import attributes, erasure_requests
from core.firehose.group_commit import GroupCommit
from core.firehose.member import Member, member_from_profile
from core.firehose.module_registration import registration
from core.firehose.router import RouteCache, Router
from core.firehose.schema import (
    Audience,
    AudienceMembershipChangeRequest,
    AudienceSubscriptionRequest,
    DsrProcessingRequest,
    EventProcessingRequest,
    MembershipAction,
    ModuleRegistrationRequest,
    Request,
    response,
)
from core.firehose.subscriptions import subscribe
from core.privacy import erasure
from core.store import connections, erasures, inbox, live_attributes, live_mappings, mappings, processed_messages
from core.store.connections import Connection
from core.store.inbox import Change
from core.store.mappings import ENDED, AudienceMapping, LiveOffer

# Changes in one transaction. A message with more is written in chunks.
PIECE = 5_000
# How far mParticle's time stamp may be ahead of the database's clock, in seconds. A change from the future would win
# over all later changes.
AHEAD_S = 300.0
# Profiles between two turns of the event loop: a few milliseconds.
PROFILES_A_TURN = 200

_Written = AudienceSubscriptionRequest | AudienceMembershipChangeRequest | DsrProcessingRequest


@dataclass(slots=True)
class _Collected:
    """The changes and counts of a group of messages."""

    changes: list[Change] = field(default_factory=list)
    members: list[tuple[str, Member]] = field(default_factory=list)
    """The members of the changes, each with the id of the account that sent it."""
    received: Counter[int] = field(default_factory=Counter)
    ignored: Counter[int] = field(default_factory=Counter)


class FirehoseIngest:
    """Handles messages, many concurrently. A process needs one."""

    def __init__(self, engine: Engine) -> None:
        """Store the engine. No I/O."""
        self._engine = engine
        self._groups = GroupCommit(self._write)
        self._routes = RouteCache()

    async def handle(self, request: Request, domain: str = "") -> dict[str, Any]:
        """Store a message and return its answer as JSON. `domain` is the host name at which mParticle sent it.

        Raises the database's errors. Then the message may not be stored, and mParticle has to send it again.
        """
        match request:
            case ModuleRegistrationRequest():
                async with self._engine.database.read() as db:
                    with_attributes = await mappings.any_live_fields(db)
                return response(request, **registration(domain, with_attributes=with_attributes))
            case EventProcessingRequest():
                return response(request)
            case AudienceSubscriptionRequest():
                await self._groups.put(request, 1)
                settings = request.audience_subscription_settings
                return response(request, audience_subscription_settings=settings)
            case DsrProcessingRequest():
                await self._groups.put(request, 1)
                await erasure.try_carry_out(self._engine, str(request.id))
                return response(request)
            case AudienceMembershipChangeRequest(user_profiles=profiles):
                if profiles:
                    refused = await self._groups.put(request, len(profiles))
                else:  # mParticle checks whether the endpoint works
                    refused = await self._is_refused(request)
                return response(request, **({"suspend_subscription": True} if refused else {}))

    async def _is_refused(self, request: AudienceMembershipChangeRequest) -> bool:
        async with self._engine.database.read() as db:
            connection = await connections.of_account(db, str(request.account.account_id))
        return connection is not None and connection.key_rejected_at is not None

    async def _write(self, group: list[_Written]) -> list[bool]:
        """Write messages. Returns for each whether Iterable has rejected the key of its connection."""
        try:
            refused = await self._write_together(group)
        except BaseException:
            self._routes.forget()  # the connections and mappings that the transaction created were rolled back
            raise
        self._engine.live_work.set()
        return refused

    async def _write_together(self, group: list[_Written]) -> list[bool]:
        """Write messages in one transaction. If a message is too large for one, its changes are written before it."""
        profiles = sum(len(r.user_profiles) for r in group if isinstance(r, AudienceMembershipChangeRequest))
        if profiles > PIECE:  # a message with very many profiles, alone in its group
            await self._write_pieces(group)
        async with self._engine.database.write() as db:
            checked = await processed_messages.deduplicate(db, [str(request.id) for request in group])
            if checked.any_refused or not all(isinstance(r, AudienceMembershipChangeRequest) for r in group):
                self._routes.forget()
            new, router = checked.new, Router(db, self._engine, self._routes)
            refused, collected = [], _Collected()
            await router.look_up(_changes_of(request for request in group if str(request.id) in new))
            for request in group:
                if str(request.id) in new:
                    new.discard(str(request.id))
                    await self._take(db, router, request, collected, checked.at)
                connection = await self._connection(router, request)
                refused.append(
                    checked.any_refused and connection is not None and connection.key_rejected_at is not None
                )
            if profiles <= PIECE:
                await self._store(db, collected, check_erasures=checked.any_erased)
            if collected.received or collected.ignored:
                zones = await router.time_zones()
                await live_mappings.count(db, checked.now, collected.received, collected.ignored, zones)
        return refused

    async def _connection(self, router: Router, request: _Written) -> Connection | None:
        """Return the connection of a message. An erasure request does not create one."""
        if isinstance(request, DsrProcessingRequest):
            return await router.find_connection(request.account)
        return await router.connection(request.account)

    async def _write_pieces(self, group: list[_Written]) -> None:
        """Write the changes in chunks before the messages are marked as processed. Writing them twice does no harm."""
        collected = _Collected()
        async with self._engine.database.write() as db:
            at = await processed_messages.time_of_next(db)
            router = Router(db, self._engine, self._routes)
            await router.look_up(_changes_of(group))
            for request in _changes_of(group):
                await self._take(db, router, request, collected, at)
        for begin in range(0, len(collected.changes), PIECE):
            chunk = _Collected(collected.changes[begin : begin + PIECE], collected.members[begin : begin + PIECE])
            async with self._engine.database.write() as db:
                await self._store(db, chunk, check_erasures=await erasures.any_erased(db))

    async def _take(
        self, db: AsyncConnection, router: Router, request: _Written, collected: _Collected, at: float
    ) -> None:
        """Write a message that is processed at a time (UTC seconds), or collect its changes."""
        match request:
            case AudienceSubscriptionRequest():
                if not await router.is_uninstalled(request.account):
                    await subscribe(db, router, request)
            case DsrProcessingRequest():
                # links the account to its connection, so that the connection's data is erased
                await router.find_connection(request.account)
                await erasure_requests.accept(db, self._engine.vault, request, _stamp_of(request, at))
            case AudienceMembershipChangeRequest():
                if await router.is_uninstalled(request.account):
                    return
                stamp = _stamp_of(request, at)
                for number, profile in enumerate(request.user_profiles):
                    if number % PROFILES_A_TURN == PROFILES_A_TURN - 1:
                        await asyncio.sleep(0)  # so that Slack and health checks get their answers
                    member = member_from_profile(profile, f"none:{request.id}:{number}")
                    for audience in profile.audiences:
                        mapping = await self._mapping(router, request, audience)
                        if audience.user_attributes and mapping is not None:
                            mapping = await router.current(mapping)
                        self._collect(mapping, audience, (str(request.account.account_id), member), stamp, collected)

    async def _mapping(
        self, router: Router, request: AudienceMembershipChangeRequest, audience: Audience
    ) -> AudienceMapping | None:
        settings = audience.audience_subscription_settings
        if audience.action is MembershipAction.ATTRIBUTE_UPDATE:
            return await router.find_mapping(request.account, audience.audience_id, settings)
        return await router.mapping(request.account, audience.audience_id, audience.audience_name, settings)

    def _collect(
        self,
        mapping: AudienceMapping | None,
        audience: Audience,
        sent: tuple[str, Member],
        stamp: int,
        collected: _Collected,
    ) -> None:
        if mapping is None:
            return
        is_declined = mapping.status in ENDED or mapping.live_offer is LiveOffer.DECLINED
        is_update = audience.action is MembershipAction.ATTRIBUTE_UPDATE
        values = attributes.values_of(audience.user_attributes, mapping.fields) if mapping.fields else {}
        if is_declined or (is_update and not values):
            collected.ignored[mapping.id] += 1
            return
        collected.received[mapping.id] += 1
        joined, member = audience.action is MembershipAction.ADD, sent[1]
        identity = (member.email, member.customer_id, member.hashed)
        collected.changes.append(
            Change(mapping.id, member.key, joined, stamp, *identity, attributes=values or None, is_update=is_update)
        )
        collected.members.append(sent)

    async def _store(self, db: AsyncConnection, collected: _Collected, *, check_erasures: bool) -> None:
        """Write the changes.

        `check_erasures`: people were erased, so changes that are older than the erasure of their member are dropped.
        """
        if collected.changes:
            changes = collected.changes
            if check_erasures:
                changes = await erasure_requests.without_erased(db, self._engine.vault, changes, collected.members)
            await inbox.put(db, await live_attributes.put(db, changes, self._engine.vault))


def _stamp_of(request: _Written, at: float) -> int:
    """Return mParticle's time stamp in milliseconds, at most AHEAD_S after `at` by the database's clock."""
    return max(-(2**62), min(request.timestamp_ms, int((at + AHEAD_S) * 1000)))


def _changes_of(requests: Iterable[_Written]) -> list[AudienceMembershipChangeRequest]:
    return [request for request in requests if isinstance(request, AudienceMembershipChangeRequest)]
