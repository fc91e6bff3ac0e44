"""The messages of reports: each is posted once, in the channel of its connection."""

from functools import partial

from bot.features.reports import views
from bot.messages.desired import DesiredMessage, MessageKind
from bot.messages.provider import DesiredState, Snapshot, StoredMessages, Subject
from core.settings import DAY_S
from core.store import reports
from core.store.connections import Connection
from core.store.reports import MadeReport
from core.store.slack_messages import MessageStatus

# A report is posted late if the bot or Slack was down, but no later than this, in seconds.
_POSTED_WITHIN_S = 7 * DAY_S


def report_key(report_id: int) -> str:
    """Return the key of a report's message."""
    return f"report:{report_id}"


class ReportMessageProvider:
    """Provides the messages of reports that are not posted yet."""

    async def read(self, snapshot: Snapshot) -> list[Subject]:
        """Read the reports that were made lately."""
        since = await snapshot.now() - _POSTED_WITHIN_S
        made = await reports.made_since(snapshot.db, since)
        if not made:
            return []
        stored = await snapshot.stored_messages(report_key(each.id) for each in made)
        subjects = []
        for each in made:
            key, connection = report_key(each.id), (await snapshot.connections())[each.connection_id]
            is_open = key not in stored or stored[key].status in (MessageStatus.NEW, MessageStatus.SENDING)
            channel = each.channel or connection.alert_channel
            if is_open and channel is not None:
                subjects.append(Subject(key, [key], partial(_desired_state, each, connection, channel)))
        return subjects

    async def after_read(self) -> None:
        """Nothing is due."""

    async def close(self) -> None:
        """No background work."""


def _desired_state(made: MadeReport, connection: Connection, channel: str, _stored: StoredMessages) -> DesiredState:
    content = views.report_message(made.report, connection.label)
    key = report_key(made.id)
    return DesiredState([DesiredMessage(key, connection.team_id, channel, MessageKind.REPLY, content)])
