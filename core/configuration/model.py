"""The model of the configuration file. Its JSON Schema, for editors, is made of it (`schema`).

Whatever a file leaves out has its default. Secrets are references: the name of an environment variable or of a file.
"""

from collections.abc import Callable
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    WithJsonSchema,
    model_validator,
)

from core.automation import times
from core.connections.exclusions import check_domain
from core.connections.manage import NAME_MAX_LENGTH as CONNECTION_NAME_MAX
from core.connections.manage import RATE_FLOOR, RATE_MAX, check_rate
from core.connections.mapping_lifecycle import check_audience
from core.connections.mapping_settings import NAME_MAX_LENGTH as MAPPING_NAME_MAX
from core.errors import InputError
from core.identity import ProjectType, UserIdField
from core.iterable import DataCenter
from core.models.data_fields import check_fields
from core.notifications import templates
from core.notifications.route_address import ALERTS
from core.notifications.rule_settings import check_threshold
from core.sources.fetch import scheme_of, without_secrets
from core.sources.table_columns import COLUMN_CHOICES
from core.store.connections import DEFAULT_RATE
from core.store.file_sources import Existing
from core.store.mappings import FreezeHolds, RemovalPolicy
from core.store.schedules import Missed

KEY_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,79}$"
VARIABLE_PATTERN = r"^[A-Za-z_][A-Za-z0-9_]*$"
# The largest id that the database stores.
_MOST = 2**63 - 1


def converted(check: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a rule that is also applied elsewhere for pydantic, so that the file gets the same sentence."""

    def convert(value: Any) -> Any:
        try:
            return value if value is None else check(value)
        except InputError as error:
            raise ValueError(error.message) from None

    return convert


def checked(check: Callable[[Any], Any]) -> AfterValidator:
    """Return a validator of such a rule."""
    return AfterValidator(converted(check))


def _number_as_text(value: Any) -> Any:
    """Return a whole number as text: ids are often written without quotes."""
    return str(value) if type(value) is int else value


def _rule(value: Any) -> Any:
    if value in ("on", "off") and isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("must be on, off, or a limit (a number)")
    return check_threshold(float(value))


def _without_secret(address: str) -> str:
    if without_secrets(address) != address:
        raise ValueError("has a secret in it (a user, a password or a query). Use address_from instead")
    return address


def _file(place: str) -> str:
    if not scheme_of(_without_secret(place)) and not place.startswith("/"):
        raise ValueError("must be an absolute path, or an address such as s3://bucket/file.csv")
    return place


def _columns(chosen: dict[str, str]) -> dict[str, str]:
    if wrong := [name for name in chosen if name not in COLUMN_CHOICES]:
        raise ValueError(f"has {wrong[0][:60]}, which is none of {', '.join(COLUMN_CHOICES)}")
    return chosen


def _template(text: str) -> str:
    return text if text in templates.KNOWN else templates.check(text)


def _channel(text: str) -> str:
    if text.startswith("#") or not text.strip() or not text.isprintable():
        raise ValueError("must be the id of a channel, such as C0123ABCD, not its name. Slack shows it in its details")
    return text


Text = Annotated[str, Field(min_length=1, max_length=2_000)]
Channel = Annotated[str, AfterValidator(_channel)]
Key = Annotated[str, Field(pattern=KEY_PATTERN)]
NumberOrText = Annotated[str, BeforeValidator(_number_as_text), WithJsonSchema({"type": ["string", "integer"]})]
Audience = Annotated[NumberOrText, checked(check_audience)]
Rule = Annotated[
    float | str,
    BeforeValidator(converted(_rule)),
    WithJsonSchema({"anyOf": [{"enum": ["on", "off"]}, {"type": "number", "exclusiveMinimum": 0}]}),
]
#: The id of a person (U...) or a user group (S...), an email address, or the @handle of a group.
Person = Annotated[str, Field(min_length=2, max_length=254)]


class Entry(BaseModel):
    """A part of the file. A name that is not known is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Reference(Entry):
    """Where a secret is: in an environment variable, or in a file, whose path is relative to the configuration file."""

    env: Annotated[str, Field(pattern=VARIABLE_PATTERN, description="An environment variable.")] | None = None
    file: Annotated[Text, Field(description="A file that contains nothing but the secret.")] | None = None

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if (self.env is None) == (self.file is None):
            raise ValueError("needs either env (an environment variable) or file (a path)")
        return self


class AlertRules(Entry):
    """Alert rules that differ from the default: a limit, on (by what is usual) or off."""

    rejected_share: Rule | None = None
    new_reason: Rule | None = None
    deviation: Rule | None = None
    run_time: Rule | None = None
    overdue: Rule | None = None
    backlog: Rule | None = None
    drift: Rule | None = None


class Limits(Entry):
    """How much a sync may change without approval."""

    added: Annotated[StrictInt, Field(ge=0, le=_MOST, description="People that it adds.")] | None = None
    added_percent: Annotated[StrictFloat, Field(ge=0, le=1_000_000, description="Of those synced before.")] | None = (
        None
    )
    removed_percent: Annotated[StrictFloat, Field(ge=0, le=100, description="Of those synced before.")] | None = None


class Exclusions(Entry):
    """Who is kept off the list. Single addresses are excluded by hand: the database keeps only their digests."""

    domains: tuple[Annotated[str, checked(check_domain)], ...] = ()
    files: tuple[Annotated[Text, AfterValidator(_file)], ...] = ()
    mappings: Annotated[tuple[Key, ...], Field(description="Keys of other mappings of the connection.")] = ()


class CampaignFreeze(Entry):
    """The mapping is frozen before each campaign to its list until that has been sent."""

    before_minutes: Annotated[StrictInt, Field(ge=0, le=7 * 24 * 60)]
    holds: FreezeHolds = FreezeHolds.BOTH


class Source(Entry):
    """Where the files of the mapping come from."""

    address: Annotated[Text, AfterValidator(_without_secret)] | None = None
    address_from: (
        Annotated[Reference, Field(description="The reference to an address that contains a secret.")] | None
    ) = None
    columns: Annotated[dict[str, Text], AfterValidator(_columns)] = {}
    sheet: Text | None = None
    archive: Annotated[Text, AfterValidator(_without_secret)] | None = None
    existing: Existing = Existing.NEWEST

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if (self.address is None) == (self.address_from is None):
            raise ValueError("needs either address, or address_from if the address contains a secret")
        return self


class Schedule(Entry):
    """When the mapping is synced: by a cron expression, when a new file is there, or after another mapping."""

    cron: Annotated[str, checked(times.check_cron)] | None = None
    new_file: StrictBool = False
    after: Annotated[Key, Field(description="The key of a mapping whose sync has succeeded.")] | None = None
    time_zone: Annotated[str, checked(times.check_time_zone)] = "UTC"
    missed: Missed = Missed.ONCE
    quiet_from: Annotated[str, checked(times.check_time)] | None = None
    quiet_to: Annotated[str, checked(times.check_time)] | None = None
    paused: Annotated[StrictBool, Field(description="Left out: people may pause and resume it.")] | None = None

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if (self.cron is not None) + self.new_file + (self.after is not None) != 1:
            raise ValueError("needs one of cron, new_file: true and after")
        if (self.quiet_from is None) != (self.quiet_to is None):
            raise ValueError("needs both quiet_from and quiet_to, or neither")
        return self


class Mapping(Entry):
    """An audience, and the list in Iterable that is kept equal to it."""

    audience: Annotated[Audience, Field(description="Its name or id. Left out: that of its first file.")] | None = None
    audience_name: Annotated[Text, Field(description="Its name, if audience is an id.")] | None = None
    list: Annotated[StrictInt, Field(gt=0, le=_MOST, description="The id of a list in Iterable.")] | None = None
    new_list: Annotated[Text, Field(max_length=200, description="The name of a list that is created.")] | None = None
    name: Annotated[str, Field(min_length=1, max_length=MAPPING_NAME_MAX)] | None = None
    channel: Channel | None = None
    mode: Literal["auto", "mirror", "delta", "add"] = "auto"
    removals: RemovalPolicy = RemovalPolicy.REMOVE
    limits: Limits = Limits()
    operators: Annotated[tuple[Person, ...], Field(description="Left out: those of the connection.")] = ()
    approvers: Annotated[tuple[Person, ...], Field(description="Left out: those of the connection.")] = ()
    fields: Annotated[dict[str, str], checked(check_fields)] = {}
    exclude: Exclusions = Exclusions()
    campaign_freeze: CampaignFreeze | None = None
    source: Source | None = None
    schedules: dict[Annotated[str, Field(min_length=1, max_length=80)], Schedule] = {}
    alert_rules: AlertRules = AlertRules()
    paused: Annotated[StrictBool, Field(description="Left out: people may pause and resume it.")] | None = None
    archived: StrictBool = False

    @model_validator(mode="after")
    def _has_list(self) -> Self:
        if (self.list is None) == (self.new_list is None):
            raise ValueError("needs either list (an id) or new_list (a name)")
        if self.schedules and self.source is None:
            raise ValueError("has schedules, which need a source")
        return self


class Connection(Entry):
    """An Iterable project. Its name, before the colon, has the id of its Slack workspace in front: T0123/Shop."""

    key: Annotated[Reference, Field(description="Its API key.")]
    data_center: DataCenter = DataCenter.US
    user_id: UserIdField = UserIdField.CUSTOMER_ID
    rate: Annotated[
        StrictFloat,
        checked(check_rate),
        Field(description=f"Requests a second: {RATE_FLOOR:g} to {RATE_MAX:,.0f}, or 0 for no limit."),
    ] = DEFAULT_RATE
    project_type: Annotated[ProjectType, Field(description="Left out: as Iterable says.")] | None = None
    alert_channel: Channel | None = None
    operators: Annotated[tuple[Person, ...], Field(description="Who may start syncs. None: everyone.")] = ()
    approvers: tuple[Person, ...] = ()
    self_approval: StrictBool = False
    merge_profiles: StrictBool = False
    alert_rules: AlertRules = AlertRules()
    mappings: dict[Key, Mapping] = {}


class Route(Entry):
    """Where alerts and events go."""

    kind: str
    connection: Annotated[Text, Field(description="The connection whose events it gets. None: all.")] | None = None
    workspace: Annotated[Text, Field(description="The Slack workspace whose events it gets. None: all.")] | None = None
    events: tuple[Text, ...] = ALERTS


class WebhookRoute(Route):
    """A receiver of events as signed JSON."""

    kind: Literal["webhook"]
    url: Annotated[Reference, Field(description="Its address, which often contains a secret.")]
    secret: Annotated[Reference, Field(description="Its signing secret (whsec_...).")]
    headers: dict[Text, Reference] = {}
    template: (
        Annotated[str, checked(_template), Field(description="opsgenie, datadog, or a template in JSON.")] | None
    ) = None
    fallback: StrictBool = False


class PagerDutyRoute(Route):
    """A service in PagerDuty."""

    kind: Literal["pagerduty"]
    url: Text = "https://events.pagerduty.com"
    routing_key: Reference
    fallback: StrictBool = False


class EmailRoute(Route):
    """Recipients of e-mails."""

    kind: Literal["email"]
    server: Annotated[Text, Field(description="Such as smtps://user@host:465.")]
    recipients: Annotated[tuple[Text, ...], Field(min_length=1)]
    sender: Text | None = None
    password: Reference | None = None
    fallback: StrictBool = False


class SlackRoute(Route):
    """Another channel, or a person, in Slack."""

    kind: Literal["slack"]
    channel: Channel


AnyRoute = Annotated[WebhookRoute | PagerDutyRoute | EmailRoute | SlackRoute, Field(discriminator="kind")]


class ConfigurationFile(Entry):
    """The configuration of Iterable Sync."""

    version: Literal[1]
    connections: dict[Annotated[str, Field(min_length=1, max_length=CONNECTION_NAME_MAX + 30)], Connection] = {}
    routes: dict[Annotated[str, Field(min_length=1, max_length=60)], AnyRoute] = {}


def schema() -> dict[str, Any]:
    """Return the JSON Schema of the file (draft 2020-12)."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | ConfigurationFile.model_json_schema()
