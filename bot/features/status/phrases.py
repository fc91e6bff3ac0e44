"""Lines (mrkdwn) about runs, mappings, alerts and connections, for `status`, `history` and the home page."""

from bot.features.permissions import deciders
from bot.features.status.workspace_status import MappingStatusRow, RunInProgress
from bot.ui.audience_words import counted
from bot.ui.charts import sparkline
from bot.ui.formatting import NO_CHANGES, bar, changes, duration, escape, moment, number, person, plural, share, trend
from bot.ui.list_words import MOST_CAMPAIGNS, campaign_words, freeze_words, linked_list
from bot.ui.status_words import DECLINED, MAPPING_STATUSES, RUN_STATUSES
from core.connections.permissions import has_stand_ins
from core.identity import UserIdField
from core.models.run import Run, RunStatus
from core.runs.approval import open_guards
from core.store.alerts import Alert
from core.store.connections import Connection
from core.store.live_mappings import LiveStatus
from core.store.mappings import MappingStatus
from core.store.mparticle_accounts import MParticleAccount
from core.store.schedules import Schedule, Trigger

_DAY_S = 86_400.0


def target_line(mapped: MappingStatusRow) -> str:
    """Return the audience, the list and the connection of a mapping."""
    audience, name = escape(mapped.mapping.label), escape(mapped.list_name)
    return f"*{audience}* → {name} ({escape(mapped.connection.name)})"


def linked_line(mapped: MappingStatusRow) -> str:
    """Return the line of `target_line`, with links to the list in Iterable and to the audiences in mParticle."""
    audience, mapping = escape(mapped.mapping.label), mapped.mapping
    if mapped.account is not None:
        audience = f"<{mapped.account.pod.audiences_page}|{audience}>"
    name = linked_list(mapped.connection, mapping.list_id, escape(mapped.list_name))
    return f"*{audience}* → {name} ({escape(mapped.connection.name)})"


def status_words(run: Run) -> str:
    """Return the status of a run in words."""
    if run.status is RunStatus.CANCELLED and run.decided_by is not None and run.error is not None:
        return f"{DECLINED} by {person(run.decided_by)}"
    if run.is_frozen:
        return "Waiting until the mapping is no longer frozen"
    if run.is_waiting:
        return "Waiting for another run of this list"
    return RUN_STATUSES[run.status]


def counts_line(run: Run) -> str:
    """Return how many people a run changed, or would change if it is approved, without zeros."""
    if run.plan is not None and run.status in (RunStatus.NEEDS_APPROVAL, RunStatus.PLANNED):
        plan = run.plan
        numbers = changes(to_add=plan.to_add, to_update=plan.to_update, to_remove=plan.to_remove)
    else:
        done = run.counters
        numbers = changes(added=done.added, updated=done.updated, removed=done.removed)
    rejected = f", {number(run.counters.rejected)} rejected" if run.counters.rejected else ""
    return f"{numbers or NO_CHANGES}{rejected}"


def last_run_line(run: Run | None) -> str:
    """Return the status of a mapping's newest run."""
    if run is None:
        return "Not synced yet"
    at = run.finished_at if run.finished_at is not None and not run.status.is_active else run.created_at
    line = f"Last sync {moment(at)}: {status_words(run)}"
    has_counts = run.status in (RunStatus.SUCCEEDED, RunStatus.RUNNING) and not run.is_frozen
    return f"{line}, {counts_line(run)}" if has_counts else line


def mapping_lines(mapped: MappingStatusRow) -> str:
    """Return a mapping with its status, and its newest run or (live) its numbers."""
    state = MAPPING_STATUSES[mapped.mapping.status]
    if mapped.mapping.status is MappingStatus.PAUSED:
        state += " - nothing syncs until someone resumes it"
    if mapped.mapping.managed is not None:
        state += " · managed by a file"
    last = _last_line(mapped) if mapped.live is None else live_line(mapped.live, _what_for(mapped))
    if size := size_line(mapped):
        last = f"{size}\n{last}"
    if mapped.next_sync is not None and mapped.mapping.status is MappingStatus.ACTIVE:
        last += f"\n{_next_line(mapped.next_sync)}"
    if mapped.audience is not None and mapped.synced is not None:
        last += f"\n{plural(mapped.synced, 'person', 'people')} synced, in mParticle: {counted(mapped.audience)}"
    for campaign in mapped.campaigns[:MOST_CAMPAIGNS]:
        last += f"\n:loudspeaker: {campaign_words(campaign)}"
    if mapped.freeze is not None:
        last += f"\n:double_vertical_bar: {freeze_words(mapped.freeze)}"
    if mapped.mapping.disconnected_at is not None:
        last += f"\nmParticle disconnected this audience {moment(mapped.mapping.disconnected_at)}"
    return f"{linked_line(mapped)} · {state}\n{last}"


def size_line(mapped: MappingStatusRow) -> str:
    """Return the size of the list after the last sync, with its chart and trend; "" if it is not known."""
    sizes = mapped.sizes.sizes if mapped.sizes is not None else ()
    if not sizes:
        return ""
    people = f"*{plural(sizes[-1], 'person', 'people')}*"
    if len(sizes) < 2:
        return people
    return f"{people}  `{sparkline(sizes)}`  {trend(sizes[0], sizes[-1]) or 'unchanged'} over {_span(mapped)}"


def _span(mapped: MappingStatusRow) -> str:
    """Return over what the sizes of a mapping's list extend: syncs, or days if it is live."""
    points = mapped.sizes.points if mapped.sizes is not None else ()
    if mapped.live is None:
        return plural(len(points), "sync", "syncs")
    return plural(max(1, round((points[-1][0] - points[0][0]) / _DAY_S)), "day")


def trend_lines(mapped: MappingStatusRow) -> str:
    """Return the size of the list, and when a sync succeeded last; "" if none did."""
    if mapped.sizes is None:
        return "" if mapped.live is not None else "No sync has succeeded yet."
    return "\n".join(filter(None, [size_line(mapped), f"Last successful sync {moment(mapped.sizes.last_success_at)}"]))


def _last_line(mapped: MappingStatusRow) -> str:
    """Return the newest run and, if it did not succeed, when the last one succeeded."""
    line = last_run_line(mapped.last)
    if mapped.last is None or mapped.last.status is RunStatus.SUCCEEDED or mapped.sizes is None:
        return line
    return f"{line}\nLast successful sync {moment(mapped.sizes.last_success_at)}"


def _next_line(schedule: Schedule) -> str:
    if schedule.trigger is Trigger.CRON and schedule.next_due_at is not None:
        return f"Next sync {moment(schedule.next_due_at)}"
    words = "Syncs when a new file arrives" if schedule.trigger is Trigger.NEW_FILE else "Syncs after another sync"
    return f"{words} (schedule {escape(schedule.name)})"


def live_line(status: LiveStatus, waiting_for: str = "waiting for approval") -> str:
    """Return the numbers of a live mapping today."""
    parts = [
        f"Live: {plural(status.changes_today, 'change')} today",
        *filter(None, [_outcomes(status)]),
    ]
    if status.backlog:
        parts.append(f"{number(status.backlog)} on the way{_for_minutes(status.oldest_age_s)}")
    if status.waiting:
        parts.append(f"{number(status.waiting)} {waiting_for}")
    if status.last_accepted_at is not None:
        parts.append(f"last change {moment(status.last_accepted_at)}")
    return ", ".join(parts)


def _outcomes(status: LiveStatus) -> str:
    return changes(
        added=status.added,
        updated=status.updated,
        removed=status.removed,
        without_effect=status.unchanged,
        rejected=status.rejected,
    )


def _what_for(mapped: MappingStatusRow) -> str:
    if mapped.mapping.status is MappingStatus.PAUSED:
        return "waiting until it is resumed"
    if mapped.mapping.status is MappingStatus.ACTIVE:
        return (
            "removals waiting for approval"
            if mapped.live and mapped.live.waiting != 1
            else "removal waiting for approval"
        )
    return "waiting for approval"


def _for_minutes(seconds: float | None) -> str:
    # rounded, so that the home page does not change every second
    return f" (for {duration(seconds // 60 * 60)})" if seconds is not None and seconds >= 60 else ""


def progress_lines(each: RunInProgress) -> str:
    """Return a run in progress: what it does, and how much is done."""
    lines = f"{target_line(each.mapped)}: {status_words(each.run)}"
    if each.run.status is RunStatus.RUNNING and each.total:
        lines += f"\n{bar(each.done, each.total)} {number(each.done)} of {number(each.total)}"
        lines += f" ({share(each.done, each.total)})"
    by = "mParticle" if each.run.request.live else person(each.run.started_by)
    return f"{lines}\nStarted by {by} {moment(each.run.created_at)}{_message_link(each)}"


def _message_link(each: RunInProgress) -> str:
    return f" · <{each.link}|Open the message>" if each.link else ""


def waiting_lines(each: RunInProgress) -> str:
    """Return a run that waits for approval: numbers, requester, and the guards that stopped it."""
    lines = f"{target_line(each.mapped)} · {counts_line(each.run)}"
    lines += f"\nStarted by {person(each.run.started_by)}, waiting since "
    lines += moment(each.run.finished_at or each.run.created_at) + _message_link(each)
    listed, name = f"list {each.run.list_id}", each.mapped.list_name
    guards = " ".join(guard.message.replace(listed, name) for guard in open_guards(each.run))
    return f"{lines}\n{escape(guards)}" if guards else lines


def approvers_line(mapped: MappingStatusRow) -> str:
    """Return who may decide."""
    if has_stand_ins(mapped.connection):
        return deciders(mapped.connection)
    named = ", ".join(person(each) for each in mapped.connection.approvers)
    return f"Approvers: {named or 'no one yet; an admin adds them with *Edit*'}"


def connection_line(connection: Connection, account: MParticleAccount | None, open_alerts: int = 0) -> str:
    """Return a connection with its health and settings. `account` is its access to mParticle's audiences, `open_alerts`
    the number of open alerts about it or one of its mappings."""
    name, key = escape(connection.name), f"key …{escape(connection.key_last4)}"
    if connection.key_rejected_at is not None:
        since = moment(connection.key_rejected_at)
        return f"*{name}*: key refused by Iterable since {since}\nNothing is synced until it is replaced ({key})"
    rate = (
        f"{connection.requests_per_second:g} requests a second"
        if connection.requests_per_second
        else "no limit of requests"
    )
    alerts_text = f", alerts in <#{connection.alert_channel}>" if connection.alert_channel else ", no alert channel"
    project = f", {connection.project_type.label}" if connection.project_type else ""
    user_id = "Customer ID" if connection.user_id_field is UserIdField.CUSTOMER_ID else "mParticle ID"
    settings = f"{connection.data_center.upper()}{project}, {user_id}, {rate}, {key}{alerts_text}"
    state = "healthy" if not open_alerts else f":rotating_light: {plural(open_alerts, 'open alert')}"
    return f"*{name}*: {state}\n{settings}{_account_line(account)}"


def _account_line(account: MParticleAccount | None) -> str:
    if account is None:
        return ""
    line = f"\nAudiences of mParticle account {account.account_id} ({account.pod.label})"
    if account.refused_at is None:
        return line
    return f"{line}: refused by mParticle since {moment(account.refused_at)}. Enter the client ID and its secret again."


def alert_lines(alert: Alert, about: str) -> str:
    """Return an open alert: subject (mrkdwn), error, since when, and who acknowledged it."""
    again = f", {plural(alert.occurrences, 'time')} more since" if alert.occurrences else ""
    taken = f"\n{person(alert.acknowledged_by)} is on it" if alert.acknowledged_by else ""
    return f"{about}: {escape(alert.message)}\nSince {moment(alert.opened_at)}{again}{taken}"


def unapproved_lines(mapped: MappingStatusRow) -> str:
    """Return a mapping that waits for approval and has no run."""
    since = moment(mapped.mapping.created_at)
    proposed = mapped.mapping.proposed_by
    if mapped.live is not None:
        waits = plural(mapped.live.waiting, "change waits", "changes wait")
        return f"{target_line(mapped)} · New mapping\nFrom mParticle, waiting since {since}. {waits}."
    return f"{target_line(mapped)} · New mapping\nProposed by {person(proposed)}, waiting since {since}"


def undecided_lines(mapped: MappingStatusRow) -> str:
    """Return what an approver decides about an approved live mapping."""
    assert mapped.live is not None
    parts = []
    if mapped.mapping.disconnected_at is not None:
        since = moment(mapped.mapping.disconnected_at)
        parts.append(f"mParticle disconnected this audience {since}. Keep or remove the people it added?")
    if mapped.live.waiting:
        parts.append(f"{number(mapped.live.waiting)} {_what_for(mapped)}.")
    return f"{target_line(mapped)}\n{' '.join(parts)}"


def named(connection: Connection) -> str:
    """Return the name of a connection."""
    return f"*{escape(connection.name)}*"
