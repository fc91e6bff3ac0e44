"""The card of a mapping that a person or mParticle proposed and that has no run yet."""

from collections.abc import Mapping
from functools import partial

from bot.features.live_audiences.reader import LiveCounts, channel_of
from bot.features.mapping.cards import proposal
from bot.features.mapping_lookup import MappingRef, read_also_fed_by
from bot.messages import fallback
from bot.messages.desired import DesiredMessage, MessageKind
from bot.messages.limits import MessagingLimits
from bot.messages.provider import DesiredState, Snapshot, StoredMessages, Subject
from core.store import mappings
from core.store.audit_log import MPARTICLE
from core.store.connections import Connection
from core.store.mappings import NO_LIST, MappingStatus
from core.store.slack_messages import SlackMessage


class ProposalMessageProvider:
    """Provides the cards of proposed mappings, and of mappings whose decision is not shown yet."""

    def __init__(self, limits: MessagingLimits) -> None:
        """Take the limits: how long a proposal is held back, and how long a count is valid. No I/O."""
        self._hold_back_s = limits.proposals
        self._counts = LiveCounts(limits.gap)

    async def read(self, snapshot: Snapshot) -> list[Subject]:
        """Read the proposals. A new one is held back, because its first run often follows at once and replaces it."""
        proposals = await mappings.proposals(snapshot.db)
        now = await snapshot.now()
        feeders = await read_also_fed_by(snapshot.db, proposals)
        subjects = []
        for mapping in proposals:
            if mapping.created_at > now - self._hold_back_s:
                continue
            connection = await snapshot.connection_of(mapping.connection_id, mapping.id)
            assert connection is not None  # a mapping is deleted with its connection
            list_name = (await snapshot.list_names()).get((connection.id, mapping.list_id))
            waiting = (await self._counts.read(snapshot.db, mapping)).waiting if mapping.is_live else 0
            ref = MappingRef(
                connection,
                mapping,
                list_name or ("no list yet" if mapping.list_id == NO_LIST else f"list {mapping.list_id}"),
                feeders.get(mapping.id, ()),
            )
            state = partial(_desired_state, ref, waiting)
            subjects.append(Subject(f"mapping {mapping.id}", keys_of(mapping.id, connection), state))
        self._counts.keep(mapping.id for mapping in proposals)
        return subjects

    async def after_read(self) -> None:
        """Nothing is due."""

    async def close(self) -> None:
        """No background work."""


def keys_of(mapping_id: int, connection: Connection) -> list[str]:
    """Return the keys of a proposal's messages: in the channel, to the proposer, to the approvers."""
    key = f"mapping:{mapping_id}"
    return [key, f"{key}:dm", *fallback.keys_for(key, connection)]


def _desired_state(ref: MappingRef, waiting: int, stored: StoredMessages) -> DesiredState:
    messages = desired_messages(ref, stored, waiting)
    return DesiredState(messages, is_final=messages[0].kind is MessageKind.FINAL)


def desired_messages(ref: MappingRef, stored: Mapping[str, SlackMessage], waiting: int = 0) -> list[DesiredMessage]:
    """Return the messages of a proposal or of its decision. `waiting` is the number of changes from mParticle."""
    mapping, connection = ref.mapping, ref.connection
    channel = channel_of(mapping, connection)
    assert channel is not None
    key, direct, *_ = keys_of(mapping.id, connection)
    main = stored.get(key)
    kind = MessageKind.OPEN if mapping.status is MappingStatus.PROPOSED else MessageKind.FINAL
    content = proposal(ref, waiting)
    # An update of the number of waiting changes is no more urgent than an update of a run's progress.
    urgent = not mapping.is_live or kind is MessageKind.FINAL or main is None or main.kind != kind
    messages = [DesiredMessage(key, connection.team_id, channel, kind, content, urgent=urgent)]
    if mapping.proposed_by == MPARTICLE:
        return messages + fallback.for_approvers(messages[0], connection, stored)
    proposer = mapping.proposed_by
    if proposer is not None and (direct in stored or fallback.needs_fallback(main, main.kind if main else "")):
        noted = fallback.with_fallback_note(content, main)
        messages.append(DesiredMessage(direct, connection.team_id, proposer, kind, noted, urgent=True))
    return messages
