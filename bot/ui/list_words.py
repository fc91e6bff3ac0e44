"""Phrases (mrkdwn) about campaigns of a list and about freezes."""

from collections.abc import Sequence

from bot.ui.formatting import cut, escape, moment, person, plural
from core.iterable.models import DataCenter
from core.store.campaigns import ListCampaign
from core.store.connections import Connection
from core.store.freezes import Freeze
from core.store.mappings import FreezeHolds, is_new_list
from core.store.mparticle_accounts import MParticleAccount

# The most campaigns in a message.
MOST_CAMPAIGNS = 3
_NAME_MAX = 80
_WHAT = {
    FreezeHolds.BOTH: "Frozen",
    FreezeHolds.REMOVALS: "Removals are frozen",
    FreezeHolds.ADDITIONS: "Additions are frozen",
}


# The page of Iterable that finds a list by its id.
_LISTS_PAGES = {DataCenter.US: "https://app.iterable.com/lists", DataCenter.EU: "https://app.eu.iterable.com/lists"}


def list_link(connection: Connection, list_id: int) -> str:
    """Return a link (mrkdwn) to Iterable's lists, with the id of this one."""
    page = _LISTS_PAGES[connection.data_center]
    return "new list" if is_new_list(list_id) else f"<{page}|list {list_id} in Iterable>"


def audiences_link(account: MParticleAccount | None) -> str:
    """Return a link (mrkdwn) to the audiences in mParticle, or "" if it is not known where those are."""
    return f"<{account.pod.audiences_page}|audiences in mParticle>" if account is not None else ""


def linked_list(connection: Connection, list_id: int, name: str) -> str:
    """Return the name of a list (mrkdwn) as a link to Iterable's lists, unless it is not created yet."""
    return name if list_id <= 0 else f"<{_LISTS_PAGES[connection.data_center]}|{name}>"


def campaign_lines(campaigns: Sequence[ListCampaign]) -> list[str]:
    """Return the campaigns that are due, a line each."""
    lines = [f":loudspeaker: {campaign_words(each)}" for each in campaigns[:MOST_CAMPAIGNS]]
    more = len(campaigns) - MOST_CAMPAIGNS
    return [*lines, f"And {plural(more, 'more campaign')}."] if more > 0 else lines


def campaign_words(campaign: ListCampaign) -> str:
    """Return what a campaign does with the list, and when."""
    name = f"*{escape(cut(campaign.name, _NAME_MAX))}*"
    if campaign.is_running:
        if campaign.is_suppression:
            return f"{name} is being sent now and leaves out the people on this list."
        return f"{name} is being sent to this list now."
    when = f" {moment(campaign.start_at)}" if campaign.start_at is not None else " soon"
    if campaign.is_suppression:
        return f"{name} leaves out the people on this list (a suppression list). It is sent{when}."
    return f"{name} goes to this list{when}."


def freeze_words(freeze: Freeze) -> str:
    """Return what is frozen, until when and why, without a full stop."""
    text = f"{_WHAT[freeze.holds]} {until_words(freeze)}"
    if freeze.by is None:
        return text
    return f"{text}, by {person(freeze.by)}{' for all mappings' if freeze.of_all else ''}"


def until_words(freeze: Freeze) -> str:
    """Return until when a freeze lasts."""
    if freeze.until is not None:
        return f"until {moment(freeze.until)}"
    sent = f"until *{escape(cut(freeze.campaign or 'the campaign', _NAME_MAX))}* has been sent"
    return sent if freeze.latest is None else f"{sent}, at most until {moment(freeze.latest)}"
