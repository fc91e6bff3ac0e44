"""What is to be seen of an alert: in the alert channel, by who started the run, and that it works again."""

from collections.abc import Mapping

from bot.features.alerts.views import AlertView, alert, all_clear
from bot.messages import fallback
from bot.messages.desired import DesiredMessage, MessageKind, thread_of
from core.store.connections import Connection
from core.store.slack_messages import MessageStatus, SlackMessage

#: How an alert is closed when it works again.
RECOVERED = "recovered"


def key_of(alert_id: int) -> str:
    """The key of an alert's message."""
    return f"alert:{alert_id}"


def keys_of(alert_id: int, connection: Connection) -> list[str]:
    """The keys of all that may be seen of an alert."""
    key = key_of(alert_id)
    return [key, f"{key}:dm", f"{key}:clear", *fallback.keys_for(key, connection)]


def wishes(trouble: AlertView, posts: Mapping[str, SlackMessage], *, is_muted: bool) -> list[DesiredMessage]:
    """What is to be seen of an alert now. While it is muted, only what is there already follows it."""
    it, connection = trouble.alert, trouble.connection
    main, direct, clear, *_ = keys_of(it.id, connection)
    is_open = it.closed_at is None
    stage = MessageKind.OPEN if is_open else MessageKind.FINAL
    starter = trouble.story.run.started_by if trouble.story is not None else None
    message = alert(trouble)
    found = []
    for key, target in ((main, connection.alert_channel), (direct, starter)):
        post = posts.get(key)
        if target is None or (key == direct and target == connection.alert_channel):
            continue
        if post is None and (is_muted or not is_open):
            continue
        told = message
        if key == direct and fallback.needs_fallback(posts.get(main), posts[main].stage if main in posts else ""):
            told = fallback.with_fallback_note(message, posts.get(main))
        # who got it stays who is told, whoever starts the next run that fails
        has_it = post is not None and post.state is not MessageStatus.REJECTED
        where = post.target if post is not None and has_it else target
        found.append(DesiredMessage(key, connection.team_id, where, stage, told, urgent=True))
        if key == main and starter is None:
            found += fallback.for_deciders(found[-1], connection, posts)
    thread = thread_of(posts.get(main)) or thread_of(posts.get(direct))
    if it.outcome == RECOVERED and thread is not None and (not is_muted or clear in posts):
        said = all_clear(trouble)
        found.append(
            DesiredMessage(
                clear, connection.team_id, thread.channel, MessageKind.REPLY, said, True, thread=thread, broadcast=True
            )
        )
    return found
