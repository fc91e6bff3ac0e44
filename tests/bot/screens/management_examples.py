"""Examples of what people manage: mappings, schedules, freezes, alert rules, A/B tests, connections, drift, lookups."""

from dataclasses import replace
from typing import Any

from bot.features.alerts import rules_form
from bot.features.alerts.views import AlertView, alert
from bot.features.approval import together
from bot.features.connect import modals, mparticle_views
from bot.features.connect import views as connect
from bot.features.connect.form import ConnectionForm
from bot.features.connect.mparticle_form import MParticleForm
from bot.features.freezes import views as freezes
from bot.features.mapping import data_fields, variants
from bot.features.mapping import views as mapping_views
from bot.features.mapping_management import exclusions, people
from bot.features.mapping_management import views as management
from bot.features.mapping_management.form import ManagementMetadata
from bot.features.routes import views as routes
from bot.features.runs import columns
from bot.features.schedules import views as schedules
from bot.features.schedules.form import ScheduleMetadata, When
from bot.features.schedules.views import ListedSchedule
from bot.features.tokens import views as tokens
from bot.features.why import views as why
from bot.ui.blocks import notice, text_message
from bot.ui.people_inputs import GroupChoice
from bot.ui.rule_words import RULE_WORDS
from core.connections.manage import Connected
from core.connections.mapping_end import DeletionSummary
from core.iterable.models import IterableList
from core.models.exclusions import Exclusion, ExclusionKind
from core.models.run import RunStatus
from core.reporting.member_lookup import LastChange, MemberFinding, MemberReport
from core.runs.drift import OwnChanges, drift_message
from core.sources.variants import Variant
from core.store.alert_kinds import AlertKind
from core.store.alert_rules import Rule, RuleSetting, Settings
from core.store.alerts import Alert
from core.store.api_tokens import ApiToken, Scope
from core.store.freezes import Freeze
from core.store.list_checks import ListCheck
from core.store.mappings import FreezeHolds, MappingStatus
from core.store.routes import Route, RouteKind
from core.store.schedules import Trigger
from tests.bot.screens.values import (
    AMIR,
    AT,
    DAY,
    LIVE,
    LIVE_REF,
    MAPPING,
    MAYA,
    REF,
    SCHEDULE,
    SHOP,
    Screen,
    run_of,
    view_of,
)

_METADATA = ManagementMetadata(mapping_id=1)


def screens() -> dict[str, dict[str, Screen]]:
    """Return the examples by feature and name."""
    return {
        "mappings": _mappings(),
        "schedules": _schedules(),
        "freezes": _freezes(),
        "rules": _rules(),
        "ab-tests": _ab_tests(),
        "connections": _connections(),
        "tokens": _tokens(),
        "routes": _routes(),
        "people": _people(),
        "drift": _drift(),
        "why": _why(),
    }


def _mappings() -> dict[str, Screen]:
    archived = replace(REF, mapping=replace(MAPPING, status=MappingStatus.ARCHIVED, delete_at=AT + 30 * DAY))
    excluded = (Exclusion(ExclusionKind.DOMAIN, "example.org"), Exclusion(ExclusionKind.ADDRESS, "digest"))
    with_exclusions = replace(REF, mapping=replace(MAPPING, exclusions=excluded))
    of_file = replace(REF, mapping=replace(MAPPING, managed="{}"))
    summary = DeletionSummary(MAPPING, 4700, ("Daily",))
    asking = run_of(RunStatus.FAILED, column_candidates={"email": ["E-Mail", "Contact"]})
    return {
        "edit": management.edit_modal(_METADATA, with_exclusions, may_set_limits=True),
        "edit a live mapping": management.edit_modal(_METADATA, LIVE_REF, may_set_limits=False),
        "edit a mapping of a file": management.edit_modal(_METADATA, of_file, may_set_limits=True),
        "edit an archived mapping": management.edit_modal(_METADATA, archived, may_set_limits=True),
        "delete": management.delete_modal(_METADATA, REF, summary),
        "delete a live mapping without people": management.delete_modal(
            _METADATA, LIVE_REF, DeletionSummary(LIVE, 0, ())
        ),
        "archived": management.archived(archived),
        "restored": management.restored(REF),
        "deleted": management.done(management.deleted(REF)),
        "emptying": management.done(management.emptying(REF, "abc", "C01MARKETING")),
        "exclusions": exclusions.form(_METADATA, with_exclusions, [LIVE_REF]),
        "data fields": data_fields.form(data_fields.FieldsMetadata(mapping_id=1), REF, ["Plan", "City"]),
        "data fields before a file": data_fields.form(data_fields.FieldsMetadata(mapping_id=1), REF, []),
        "choose columns": columns.form(columns.ColumnsMetadata(run_id="abc"), asking, REF),
        "proposed": mapping_views.proposed_view(REF, None),
        "decided": mapping_views.reviewed_view(mapping_views.decided_sentence(REF)),
    }


def _schedules() -> dict[str, Screen]:
    listed = ListedSchedule(SCHEDULE, REF, "s3://acme-exports/shoppers/")
    after = replace(SCHEDULE, id=2, name="After VIPs", trigger=Trigger.AFTER, cron=None, is_paused=True)

    def form(when: When, *, options: bool = False) -> dict[str, Any]:
        metadata = ScheduleMetadata(mapping_id=1, when=when.value, time_zone="Europe/Berlin", shows_options=options)
        return schedules.schedule_form(metadata, REF, [LIVE_REF], None, ["s3://acme-exports/"])

    return {
        "form for new files": form(When.NEW_FILE),
        "form for once a week": form(When.WEEKLY),
        "form for once a week, more options": form(When.WEEKLY, options=True),
        "form for after another sync": form(When.AFTER),
        "scheduled": schedules.saved(listed),
        "not scheduled": schedules.failed("The folder is not in an allowed place."),
        "list": schedules.schedule_list([listed, ListedSchedule(after, REF, "s3://acme-exports/", "VIPs → VIP list")]),
        "empty list": schedules.schedule_list([]),
        "paused": schedules.changed(replace(listed, schedule=replace(SCHEDULE, is_paused=True)), "is paused"),
    }


def _freezes() -> dict[str, Screen]:
    by_hand = Freeze(FreezeHolds.BOTH, AT + DAY, by=MAYA)
    of_campaign = Freeze(FreezeHolds.REMOVALS, None, campaign="Spring launch", latest=AT + DAY)
    return {
        "form": freezes.freeze_form(REF, of_campaign),
        "form for all": freezes.freeze_form(None),
        "frozen": freezes.frozen(REF, by_hand),
        "all frozen": freezes.frozen(None, replace(by_hand, of_all=True)),
        "frozen by a campaign": freezes.frozen(REF, of_campaign),
        "no longer frozen": freezes.unfrozen(REF, None),
        "still frozen": freezes.unfrozen(REF, of_campaign),
        "until when": freezes.until_when(REF),
    }


def _rules() -> dict[str, Screen]:
    settings = Settings({Rule.RUN_TIME: RuleSetting(threshold=30)}, {Rule.OVERDUE: RuleSetting(is_on=False)})
    saved = rules_form.saved_sentence(REF, [Rule.OVERDUE, Rule.RUN_TIME, Rule.DRIFT], settings)
    return {
        "form": rules_form.rules_modal(rules_form.RulesMetadata(mapping_id=1), REF, settings),
        "form of a live mapping": rules_form.rules_modal(rules_form.RulesMetadata(mapping_id=2), LIVE_REF, settings),
        "saved": rules_form.saved(saved),
        **{rule.value: _rule_alert(rule) for rule in RULE_WORDS},
    }


def _rule_alert(rule: Rule) -> Screen:
    opened = Alert(1, 1, 1, "abc", rule, "The numbers.", 0, AT, None, None, None, None)
    return alert(AlertView(opened, SHOP, MAPPING, None))


def _ab_tests() -> dict[str, Screen]:
    parts = [Variant("Spring - Blue", 2381), Variant("Spring - Green", 2380), Variant("Spring - Control", 100)]
    metadata = variants.VariantsMetadata(
        connection_id=1, file_id="F1", file_name="spring.zip", variants=("Spring - Blue", "Spring - Green")
    )
    group = [
        view_of(RunStatus.NEEDS_APPROVAL, audience="Spring - Blue"),
        view_of(RunStatus.NEEDS_APPROVAL, id="def", audience="Spring - Green"),
    ]
    return {
        "form": variants.variants_form(metadata, parts),
        "card": together.card(group),
        "review": together.review(group, has_changed=True),
        "decline": together.decline(group),
    }


def _connections() -> dict[str, Screen]:
    connected = Connected(SHOP, [IterableList(42, "Spring shoppers", "Standard")])
    details = MParticleForm(connection_id=1)
    return {
        "connected": connect.connected_view(connected),
        "not connected": connect.connect_failed(ConnectionForm(), "Iterable refuses the API key."),
        "key replaced": connect.replaced_view(connected, [("abc", "Shoppers")]),
        "saved": connect.saved_view("Shop", {"approvers": [AMIR, MAYA], "rate": 7.0}),
        "admins only": connect.admins_only("connect a project"),
        "ask an admin": connect.ask_an_admin(),
        "mParticle": mparticle_views.mparticle_form(details, SHOP),
        "mParticle removed": mparticle_views.removed(SHOP),
    }


def _tokens() -> dict[str, Screen]:
    airflow = ApiToken(1, "airflow", "T01FERNWAY", "k3Qz", frozenset({Scope.RUN, Scope.READ}), MAYA, AT, AT + DAY, None)
    unused = replace(airflow, id=2, name="R&D", scopes=frozenset({Scope.ADMIN}), last_used_at=None)
    return {
        "list": tokens.token_list([airflow, unused]),
        "no token": tokens.token_list([]),
        "form": tokens.token_form(),
        "created": tokens.created(airflow, "isync_0123456789k3Qz"),
        "not shown": text_message(tokens.not_shown(airflow)),
        "revoked": tokens.token_list([unused], tokens.revoked(airflow)),
    }


def _routes() -> dict[str, Screen]:
    team = Route(
        1, "team", RouteKind.SLACK, "T01FERNWAY", 1, ("alert.*", "report.*"), False, "C01MARKETING", None, MAYA, AT
    )
    person = replace(team, id=2, name="Amir", target=AMIR, events=("alert.*",))
    oncall = replace(
        team, id=3, name="oncall", kind=RouteKind.PAGERDUTY, target="https://events.pagerduty.com", is_fallback=True
    )
    of_operator = replace(
        team, id=4, name="archive", kind=RouteKind.WEBHOOK, team_id=None, target="https://example.com", events=("*",)
    )
    return {
        "list": routes.routes_modal(SHOP, [team, person, oncall, of_operator], "T01FERNWAY"),
        "no route": routes.routes_modal(replace(SHOP, alert_channel=None), [], "T01FERNWAY"),
        "tested": routes.routes_modal(SHOP, [team], "T01FERNWAY", routes.tested_sentence(team, None)),
        "test failed": routes.routes_modal(
            SHOP, [team], "T01FERNWAY", routes.tested_sentence(team, routes.NOT_IN_CHANNEL)
        ),
        "form": routes.add_form(SHOP),
        "not added": routes.failed("Only an admin or owner of this workspace can change alert routes."),
    }


def _people() -> dict[str, Screen]:
    groups = [GroupChoice("S01CRM", "crm-team"), GroupChoice("S02LEADS", "crm-leads")]
    own = replace(REF, mapping=replace(MAPPING, operators=(MAYA, "S01CRM"), approvers=("S02LEADS",)))
    both = replace(SHOP, operators=("S01CRM",), approvers=(AMIR, "S02LEADS"))
    return {
        "of a mapping": people.form(REF, []),
        "of a mapping, with user groups": people.form(own, groups),
        "saved": notice("People", f"{REF.label} is saved. {people.people_words(REF)}"),
        "of a connection, with user groups": modals.edit_form(ConnectionForm.of(both), "0000", groups),
    }


def _drift() -> dict[str, Screen]:
    check = ListCheck(1, 42, AT + DAY, AT, AT - DAY, 4700, 4712, 4725, missing=3, extra=15)

    def shown(changed: ListCheck, own: OwnChanges) -> Screen:
        fault = Alert(1, 1, 1, None, AlertKind.DRIFT.value, drift_message(changed), 0, AT, None, None, None, None)
        return alert(AlertView(fault, SHOP, MAPPING, None, changed, own))

    return {
        "people missing and extra": shown(check, OwnChanges((run_of(RunStatus.SUCCEEDED),), 2)),
        "people missing": shown(replace(check, extra=0, matched_at=None), OwnChanges((), 0)),
    }


def _why() -> dict[str, Screen]:
    on_list = MemberFinding(
        MAPPING,
        "Spring shoppers",
        ("ann@example.com", "c1"),
        certain=True,
        is_on_list=True,
        change=LastChange("abc", AT, is_added=True),
    )
    rejected = MemberFinding(LIVE, "VIP list", None, certain=True, reason="no_email", run="abc", when=AT)
    return {
        "on a list": why.answer("ann@example.com", MemberReport([on_list, rejected]), [SHOP]),
        "no record": why.answer("eve@example.com", MemberReport(), []),
        "may not look up": why.refused([SHOP]),
    }
