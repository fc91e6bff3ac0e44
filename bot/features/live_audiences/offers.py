"""Offers of mParticle to feed a mapping of files: the card, its buttons, and the decision."""

from functools import partial

from bot.features.ids import LiveAudienceAction
from bot.features.live_audiences.reader import channel_of
from bot.features.mapping_lookup import MappingRef, by_id
from bot.features.permissions import deciders, why_not_decide
from bot.messages import fallback
from bot.messages.desired import DesiredMessage, MessageKind
from bot.messages.provider import DesiredState, Snapshot, StoredMessages, Subject
from bot.services import Services
from bot.slack.actor import Actor
from bot.ui.blocks import Message, actions, button, confirmation, context, section
from core.errors import InputError
from core.live import decisions
from core.store import mappings
from core.store.connections import Connection
from core.store.mappings import AudienceMapping, LiveOffer


class LiveOfferMessageProvider:
    """Provides the cards of offers that wait for an approver, and of decided ones."""

    async def read(self, snapshot: Snapshot) -> list[Subject]:
        """Read the offers."""
        offered = await mappings.offers(snapshot.db)
        names = await snapshot.list_names() if offered else {}
        subjects = []
        for mapping in offered:
            connection = await snapshot.connection_of(mapping.connection_id, mapping.id)
            assert connection is not None  # a mapping is deleted with its connection
            list_name = names.get((connection.id, mapping.list_id)) or f"list {mapping.list_id}"
            ref = MappingRef(connection, mapping, list_name)
            if channel_of(mapping, connection) is not None:
                key = offer_key(mapping.id)
                keys = [key, *fallback.keys_for(key, connection)]
                subjects.append(Subject(f"offer {mapping.id}", keys, partial(_desired_state, ref)))
        return subjects

    async def after_read(self) -> None:
        """Nothing to do."""

    async def close(self) -> None:
        """Nothing to do."""


def offer_key(mapping_id: int) -> str:
    """Return the key of an offer's card."""
    return f"offer:{mapping_id}"


def offer(ref: MappingRef) -> Message:
    """Return the card of an offer, or of its decision."""
    mapping = ref.mapping
    if mapping.live_offer is not LiveOffer.PROPOSED:
        state = "now updates continuously from mParticle" if mapping.is_live else "is updated by files, as before"
        text = f"{ref.label} {state}."
        return Message(text, [section(text)])
    text = f":raised_hand: mParticle can update {ref.label} continuously. Files update it now."
    question = confirmation(
        "Follow mParticle?",
        f"{ref.label}: from now on people join and leave the list as mParticle says, without a file. Joining and "
        "leaving can start journeys.",
        "Follow mParticle",
        "Go back",
    )
    accept = button(
        "Follow mParticle",
        LiveAudienceAction.ACCEPT_OFFER,
        str(mapping.id),
        style="primary",
        confirm=question,
        label=f"Follow mParticle: {ref.plain}",
    )
    decline = button(
        "Decline", LiveAudienceAction.DECLINE_OFFER, str(mapping.id), label=f"Decline to follow mParticle: {ref.plain}"
    )
    hint = (
        "Nothing that mParticle sends for it reaches the list before an approver accepts. Files are synced as before."
    )
    return Message(text, [section(text), context(hint, deciders(ref.connection)), actions(accept, decline)])


async def accept(services: Services, actor: Actor, mapping_id: int) -> str:
    """Let mParticle feed a mapping. Raises InputError if the person may not, or if it was decided already."""
    ref = await _decide(services, actor, mapping_id, accepts=True)
    return f"{ref.label} now updates continuously from mParticle."


async def decline(services: Services, actor: Actor, mapping_id: int) -> str:
    """Let files feed a mapping, as before. Raises InputError as `accept` does."""
    ref = await _decide(services, actor, mapping_id, accepts=False)
    return f"{ref.label} is updated by files, as before. What mParticle sent for it is discarded."


async def _decide(services: Services, actor: Actor, mapping_id: int, *, accepts: bool) -> MappingRef:
    ref = await by_id(services, actor, mapping_id)
    if why := await why_not_decide(services, actor, ref.connection):
        raise InputError(why)
    decided = await decisions.decide_offer(
        services.engine, mapping_id, accepts=accepts, by=actor.person, team_id=actor.team_id
    )
    services.wake()
    if not decided:
        raise InputError(f"{ref.plain}: another approver already decided.")
    return ref


def _desired_state(ref: MappingRef, stored: StoredMessages) -> DesiredState:
    mapping: AudienceMapping = ref.mapping
    connection: Connection = ref.connection
    target = channel_of(mapping, connection)
    assert target is not None
    is_open = mapping.live_offer is LiveOffer.PROPOSED
    kind = MessageKind.OPEN if is_open else MessageKind.FINAL
    card = DesiredMessage(offer_key(mapping.id), connection.team_id, target, kind, offer(ref), urgent=True)
    return DesiredState([card, *fallback.for_approvers(card, connection, stored)], is_final=not is_open)
