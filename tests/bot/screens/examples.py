"""An example of each message and view, built from values: no database, no Slack."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from bot.features.alerts.views import AlertView, alert, all_clear
from bot.features.approval import views as approval
from bot.features.approval.card import card, details_modal
from bot.features.home.page import HomePage, page_of
from bot.features.home.views import home_view
from bot.features.live_audiences import views as live
from bot.features.live_audiences.offers import offer
from bot.features.mapping import cards
from bot.features.mapping import views as mapping_views
from bot.features.mapping_lookup import MappingRef
from bot.features.reports.form import reports_modal
from bot.features.reports.views import report_message
from bot.features.runs import result_messages, views
from bot.features.runs.progress_messages import progress, waiting
from bot.features.runs.run_view import PreviousSync
from bot.features.status.views import HistoryItem, history_message, history_modal, status_message
from bot.features.status.workspace_status import MappingStatusRow, RunInProgress, Viewer, WorkspaceStatus
from bot.features.undo.views import UndoCandidate, choices, undo_modal
from core.iterable import UnavailableError
from core.models.reports import Changes, Report, ReportedAlert, ReportedMapping, ReportedReason, ReportKind
from core.models.run import CancelReason, RunCounters, RunStatus
from core.reporting.preview import PlanPreview
from core.reporting.progress import Progress
from core.store.alert_kinds import AlertKind
from core.store.alerts import Alert, AlertOutcome
from core.store.live_mappings import LiveStatus
from core.store.mappings import NO_LIST, LiveOffer, MappingStatus
from core.store.rejections import Rejection
from core.store.reports import ReportSettings
from core.store.run_history import ListSizes
from tests.bot.screens import form_examples, management_examples, thread_examples
from tests.bot.screens.values import (
    ACCOUNT,
    AFTER,
    AMIR,
    AT,
    DAY,
    LARGE,
    LINK,
    LIVE,
    MANY,
    MAPPING,
    MAYA,
    OTHER,
    REF,
    REJECTED,
    SCHEDULE,
    SHOP,
    Screen,
    run_of,
    view_of,
)

FAILING = "Iterable is having problems (HTTP 500)."


def screens() -> dict[str, dict[str, Screen]]:
    """Return all examples by feature and name."""
    return {
        "approval": _approval(),
        "runs": _runs(),
        "alerts": _alerts(),
        "forms": form_examples.forms(),
        "threads": thread_examples.threads(),
        "live": _live(),
        "reports": _reports(),
        "status": _status(),
        **management_examples.screens(),
    }


def _approval() -> dict[str, Screen]:
    first = view_of(RunStatus.NEEDS_APPROVAL)
    large = view_of(RunStatus.NEEDS_APPROVAL, plan=LARGE)
    other = view_of(
        RunStatus.NEEDS_APPROVAL,
        more={"also_fed_by": ("Winter",), "newer_source_at": AT + DAY},
        plan=LARGE.model_copy(update={"guards": (OTHER, MANY)}),
    )
    samples = PlanPreview(("ann@example.com",), (), ("bob@example.com",), (Rejection("1", None, "c1", "no_email"),))
    return {
        "card of a first sync": card(first),
        "card of a large removal": card(large),
        "card with warnings": card(other),
        "details": details_modal(first),
        "review": approval.review(first, samples),
        "review of a large removal": approval.review(large, samples, has_changed=True),
        "decline": approval.decline(first),
        "question in the thread": approval.ask(first),
        "reminder": approval.reminder(first),
        "not an approver": approval.not_allowed("Only an approver of Shop can decide this: <@U01AMIR>."),
    }


def _runs() -> dict[str, Screen]:
    decided: dict[str, Any] = {"decided_by": AMIR, "decided_at": AT, "comment": "Fits the spring plan"}
    before: dict[str, Any] = {"previous": PreviousSync(AT - 7 * DAY, 4600, REJECTED), "account": ACCOUNT}
    failed: dict[str, Any] = {
        "error": FAILING,
        "error_code": UnavailableError.code,
        "requests": 2,
    }
    going: dict[str, Any] = {"more": {"progress": Progress(2000, 4762, 480.0)}, "finished_at": None}
    return {
        "queued": waiting(view_of(RunStatus.QUEUED, plan=None, counters=RunCounters())),
        "preparing preview": waiting(view_of(RunStatus.PLANNING, plan=None, counters=RunCounters())),
        "syncing": progress(view_of(RunStatus.RUNNING, counters=RunCounters(added=2000), **going)),
        "done": result_messages.summary(view_of(RunStatus.SUCCEEDED, AFTER, before, list_size=4700, **decided)),
        "done with the same rejections": result_messages.summary(
            view_of(
                RunStatus.SUCCEEDED, REJECTED, before, list_size=4600, counters=RunCounters(members=5, rejected=235)
            )
        ),
        "no one could be synced": result_messages.summary(
            view_of(RunStatus.SUCCEEDED, {"no_email": 3}, counters=RunCounters(members=3, rejected=3))
        ),
        "failed": result_messages.failure(view_of(RunStatus.FAILED, {}, retry_at=AT + 60, **failed)),
        "cancelled": result_messages.cancelled(
            view_of(RunStatus.CANCELLED, {}, counters=RunCounters(members=9, added=2))
        ),
        "cancelled by a person": result_messages.cancelled(
            view_of(RunStatus.CANCELLED, {}, {"cancelled_by": AMIR}, counters=RunCounters(members=4798, added=1798))
        ),
        "cancelled before it sent": result_messages.cancelled(
            view_of(RunStatus.CANCELLED, {}, {"cancelled_by": MAYA}, counters=RunCounters(), requests=0)
        ),
        "declined": result_messages.declined(
            view_of(RunStatus.CANCELLED, cancel_reason=CancelReason.DECLINED, **decided)
        ),
        "expired": result_messages.expired(view_of(RunStatus.EXPIRED)),
        "preview": result_messages.preview(view_of(RunStatus.PLANNED)),
        "see why": views.see_why(run_of(RunStatus.SUCCEEDED), REF, AFTER),
        "started": views.started("abc", REF, "C01MARKETING"),
        "nothing to cancel": views.nothing_to_cancel(),
        "undo": undo_modal(UndoCandidate(run_of(RunStatus.SUCCEEDED), "Shoppers", "Spring shoppers")),
        "undo: choose a run": choices(
            [
                UndoCandidate(run_of(RunStatus.SUCCEEDED), "Shoppers", "Spring shoppers"),
                UndoCandidate(run_of(RunStatus.SUCCEEDED, is_live=True, started_by=None), "VIPs", "VIPs"),
            ]
        ),
    }


def _alerts() -> dict[str, Screen]:
    message = "Iterable is having problems (HTTP 500), even after several attempts. Nothing was lost."
    fault = Alert(1, 1, 1, "abc", UnavailableError.code, message, 1, AT, None, None, None, None)
    run_view = view_of(
        RunStatus.FAILED, {}, error=message, error_code=UnavailableError.code, retry_at=AT + 60, requests=2
    )

    def shown(changed: Alert) -> AlertView:
        return AlertView(changed, SHOP, MAPPING, run_view, run_link=LINK)

    closed = replace(fault, closed_at=AT + 300, outcome=AlertOutcome.RESOLVED)
    silence = replace(
        fault, run_id=None, code=AlertKind.SILENCE.value, message="mParticle has sent nothing for 20 hours."
    )
    return {
        "failing": alert(shown(fault)),
        "snoozed": alert(shown(replace(fault, acknowledged_by=AMIR, snoozed_until=AT + DAY))),
        "recovered": alert(shown(closed)),
        "all-clear": all_clear(shown(closed)),
        "another reason": alert(shown(replace(closed, outcome=AlertOutcome.SUPERSEDED))),
        "silence": alert(AlertView(silence, SHOP, LIVE, None)),
    }


def _reports() -> dict[str, Screen]:
    changes = [Changes(added=10 * day, removed=3 * day) for day in range(14)]
    shoppers = ReportedMapping(
        id=1,
        audience="Shoppers",
        list_id=1016,
        syncs=6,
        failed=1,
        changes=Changes(added=400, removed=120, rejected=12),
        sizes=[4_000 + 70 * day for day in range(14)],
    )
    week = Report(
        kind=ReportKind.WEEKLY,
        start=datetime.fromtimestamp(AT - 7 * DAY, UTC),
        end=datetime.fromtimestamp(AT, UTC),
        time_zone="Europe/Berlin",
        days=[f"2026-02-{day}" for day in range(15, 29)],
        changes_by_day=changes,
        changes=shoppers.changes,
        syncs=6,
        failed=1,
        reasons=[ReportedReason(reason="no_email", count=12, people="without an email address")],
        mappings=[shoppers],
        mapping_count=1,
        waiting=1,
        alerts=[
            ReportedAlert(code="unavailable", message="Iterable is having problems (HTTP 500).", audience="Shoppers")
        ],
        paused=["VIP"],
        not_synced=[],
    )
    day = week.model_copy(
        update={
            "kind": ReportKind.DAILY,
            "waiting": 0,
            "alerts": [],
            "paused": [],
            "failed": 0,
            "reasons": [],
            "mappings": [shoppers.model_copy(update={"failed": 0})],
        }
    )
    settings = ReportSettings(1, time_zone="Europe/Berlin", weekly=True, daily=True)
    return {
        "weekly": report_message(week, "Shop"),
        "daily": report_message(day, "Shop"),
        "settings": reports_modal(SHOP, settings, ["team"]),
    }


def _live() -> dict[str, Screen]:
    proposed = replace(LIVE, status=MappingStatus.PROPOSED, list_id=NO_LIST, proposed_by="mparticle")
    audience = live.LiveAudience(replace(LIVE, disconnected_at=AT), SHOP, "VIP list", removals=3, members=171)
    day = LiveStatus(
        220, 0, None, AT, added=171, removed=20, rejected=9, rejected_by_reason={"no_email": 9}, run_id="abc"
    )
    return {
        "proposed": cards.proposal(MappingRef(SHOP, proposed, "no list yet"), 90),
        "proposed for files": cards.proposal(replace(REF, mapping=replace(MAPPING, status=MappingStatus.PROPOSED))),
        "review": mapping_views.review_modal(MappingRef(SHOP, proposed, "no list yet")),
        "removals": live.removals(audience),
        "disconnected": live.disconnected(audience),
        "digest": live.digest(audience, "2026-03-02", day),
        "offer": offer(replace(REF, mapping=replace(MAPPING, live_offer=LiveOffer.PROPOSED))),
        "paused": cards.moved(replace(REF, mapping=replace(MAPPING, status=MappingStatus.PAUSED))),
        "resumed": cards.moved(REF),
        "resumed before": cards.not_moved(REF, "resumed"),
    }


def _status() -> dict[str, Screen]:
    done, going = run_of(RunStatus.SUCCEEDED), run_of(RunStatus.RUNNING, finished_at=None)
    row = MappingStatusRow(MAPPING, SHOP, "Spring shoppers", done, None)
    live_row = MappingStatusRow(LIVE, SHOP, "VIP list", None, LiveStatus(220, 0, None, AT, 171, 0, 20, 9))
    fault = Alert(1, 1, 1, "abc", UnavailableError.code, FAILING, 0, AT, None, None, None, None)
    waits = RunInProgress(run_of(RunStatus.NEEDS_APPROVAL), row, 0, 0, LINK)
    busy = WorkspaceStatus((SHOP,), (row, live_row), (RunInProgress(going, row, 2, 5),), (waits,), (fault,), {})
    live_mapping = replace(LIVE, status=MappingStatus.PAUSED, disconnected_at=AT)
    undecided = replace(live_row, mapping=live_mapping, live=LiveStatus(220, 0, None, AT, 171, 20, 20, 9))
    disconnected = WorkspaceStatus((SHOP,), (undecided,), (), (), (), {})
    quiet = WorkspaceStatus((SHOP,), (row,), (), (), (), {})
    sizes = tuple((AT + DAY * day, 4700 + 175 * day) for day in range(-4, 1))
    daily = replace(row, sizes=ListSizes(AT, sizes), next_sync=SCHEDULE, account=ACCOUNT)
    growing = WorkspaceStatus((SHOP,), (replace(live_row, sizes=ListSizes(AT, sizes)),), (), (), (), {})
    failing = replace(daily, last=run_of(RunStatus.FAILED, finished_at=AT + DAY, error=fault.message))
    calm = WorkspaceStatus((SHOP,), (daily,), (), (), (), {})
    guarded = replace(SHOP, operators=(AMIR,))
    others = WorkspaceStatus((guarded,), (replace(daily, connection=guarded),), (), (), (), {})
    many = WorkspaceStatus(
        (SHOP,), tuple(replace(row, mapping=replace(MAPPING, id=number)) for number in range(13)), (), (), (), {}
    )
    viewer, marketer = Viewer(AMIR, is_admin=True), Viewer(MAYA, is_admin=False)
    newest = HistoryItem(failing.last or done, failing, is_last=True, link=LINK)
    items = [newest, HistoryItem(done, failing, is_last=False)]
    return {
        "status": status_message(busy, viewer),
        "all clear": status_message(quiet, viewer),
        "history": history_message([HistoryItem(done, row, is_last=True)], None, AMIR),
        "history of a mapping": history_message(items, "Shoppers", AMIR, failing),
        "history on the home page": history_modal(items, failing),
        "home": _home(busy, viewer),
        "home with a disconnected audience": _home(disconnected, viewer),
        "home, nothing waits": _home(calm, Viewer(AMIR, is_admin=False)),
        "home with a live audience": _home(growing, viewer),
        "home of a person who may not sync": _home(others, marketer),
        "home with a search": _home(many, marketer, "SHOPPERS", 1),
        "home before a connection": _home(WorkspaceStatus((), (), (), (), (), {}), viewer),
    }


def _home(overview: WorkspaceStatus, viewer: Viewer, search: str = "", number: int = 0) -> Screen:
    page = HomePage(search=search, number=number)
    return home_view(overview, viewer, page, page_of(overview.mapped, page))
