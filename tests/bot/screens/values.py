"""The values of the examples: a connection, mappings, runs and their plans."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bot.features.mapping_lookup import MappingRef
from bot.features.runs.run_view import RunView
from bot.ui.blocks import Message
from core.identity import UserIdField
from core.iterable import DataCenter
from core.models.run import Guard, GuardName, Run, RunCounters, RunPlan, RunStatus
from core.mparticle.models import Pod
from core.store.connections import Connection
from core.store.mappings import AudienceMapping
from core.store.mparticle_accounts import MParticleAccount
from core.store.schedules import Missed, Schedule, Trigger
from tests.core.reporting.test_run_report import make_run

#: A message, or a view of the kind `modal` or `home`.
Screen = Message | Mapping[str, Any]
MAYA, AMIR = "U01MAYA", "U01AMIR"
# 2026-03-02, 09:00 UTC
AT = 1_772_442_000.0
DAY = 86_400.0

SHOP = Connection(
    id=1,
    name="Shop",
    api_key=b"sealed",
    key_last4="0000",
    rate_limit_key="digest",
    data_center=DataCenter.US,
    user_id_field=UserIdField.CUSTOMER_ID,
    requests_per_second=5.0,
    key_rejected_at=None,
    created_at=AT,
    alert_channel="C01ALERTS",
    approvers=(AMIR,),
)
#: The address of a message.
LINK = "https://fernway.slack.com/archives/C01MARKETING/p1772442000000100"
ACCOUNT = MParticleAccount(1, Pod.EU1, "4711", "client", b"sealed", AT, None)
MAPPING = AudienceMapping(1, 1, 42, "8754", "Shoppers", "auto", AT, proposed_by=MAYA)
LIVE = replace(MAPPING, id=2, audience_name="VIPs", is_live=True)
REF, LIVE_REF = MappingRef(SHOP, MAPPING, "Spring shoppers"), MappingRef(SHOP, LIVE, "VIP list")
NEW = Guard(name=GuardName.NEW_MAPPING, message="First sync of Shoppers to list 42.")
MANY = Guard(name=GuardName.MASS_REMOVAL, message="2,673 of 4,700 people would be removed (57 %), more than 20 %.")
OTHER = Guard(
    name=GuardName.OTHER_AUDIENCE,
    message="List 42 is kept equal to audience 8754 (Shoppers), and lapsed.csv is of audience 9 (Lapsed), which would "
    "take its place.",
)
REJECTED = {"no_email": 190, "invalid_email": 45}
AFTER = REJECTED | {"iterable_forgotten": 30, "iterable_conflict": 32}
FIRST = RunPlan(
    file_name="shoppers.zip",
    source_at=AT,
    members=5022,
    to_add=4762,
    duplicates=25,
    rejected=235,
    requests=5,
    seconds=1.0,
    guards=(NEW,),
)
LARGE = FIRST.model_copy(
    update={
        "to_add": 13,
        "to_remove": 2673,
        "unchanged": 2027,
        "ledger_size": 4700,
        "guards": (MANY,),
        "requests": 3000,
        "seconds": 600.0,
    }
)

SCHEDULE = Schedule(
    1,
    1,
    1,
    "Daily",
    Trigger.CRON,
    "0 6 * * *",
    "Europe/Berlin",
    None,
    Missed.ONCE,
    None,
    None,
    AT + DAY,
    AT,
    False,
    MAYA,
    AT,
)


def run_of(status: RunStatus, **values: Any) -> Run:
    """Return a run in a status."""
    counters = RunCounters(members=5022, added=4700, rejected=297, duplicates=25)
    base: dict[str, Any] = {"status": status, "plan": FIRST, "started_by": MAYA, "counters": counters, "created_at": AT}
    return make_run(**{**base, "started_at": AT, "finished_at": AT + 13, **values})


def view_of(
    status: RunStatus, by_reason: Mapping[str, int] = REJECTED, more: Mapping[str, Any] = {}, **run: Any
) -> RunView:
    """Return a run in a status with the data of its message."""
    return RunView(run_of(status, **run), SHOP, "Spring shoppers", by_reason, **(more or {}))
