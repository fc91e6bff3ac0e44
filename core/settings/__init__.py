"""Settings, read once at the start from the environment and `.env`."""

import ipaddress
import re
import socket
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, get_args
from urllib.parse import quote, urlsplit

from pydantic import Field, PrivateAttr, SecretStr, ValidationError, field_validator
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from core.errors import SettingsError
from core.settings.faults import describe_range
from core.settings.files import check_encoding
from core.settings.quiet_hours import parse_quiet_hours
from core.settings.secret_sources import read_secrets

#: The folder of fetched audiences, in the data directory.
FETCHED = "fetched"
#: The hashes of people that Iterable has forgotten, in files (core/connections/forgotten.py).
FORGOTTEN = "forgotten"
#: The folder for audiences that were read from standard input.
STANDARD_INPUT = "standard-input"
#: Audiences that were uploaded to the HTTP API, in the data directory.
UPLOADS = "uploads"
#: The folder of working files, in the data directory.
WORK = "work"
#: The beginning of the names of the folders in it in which the run log is made.
RUN_LOG_PREFIX = "log-"

# `T0123=/data/a,/data/b`: places of one workspace.
_OF_WORKSPACE = re.compile(r"(T[A-Z0-9]+)=(.*)", re.DOTALL)
ENV_FILE = ".env"
DAY_S = 24 * 3600.0
#: Means "any workspace" in ALLOWED_WORKSPACES.
ANY = "*"
#: The minimum length of the Firehose token: a person who guesses it can change lists.
FIREHOSE_TOKEN_LENGTH = 24


class FirehoseApproval(StrEnum):
    """Whether a person approves live mappings."""

    REQUIRED = "required"
    NONE = "none"


class Settings(BaseSettings):
    """Every setting, with its default and its meaning. Secrets print as stars."""

    model_config = SettingsConfigDict(
        env_prefix="ITERABLE_SYNC_", env_file=ENV_FILE, env_file_encoding="utf-8-sig", extra="ignore", frozen=True
    )

    iterable_api_key: SecretStr | None = Field(
        None,
        validation_alias="ITERABLE_API_KEY",
        description="the key that the command line uses without a saved connection",
    )
    slack_bot_token: SecretStr | None = Field(
        None, validation_alias="SLACK_BOT_TOKEN", description="the bot's token, `xoxb-...`: one workspace"
    )
    slack_app_token: SecretStr | None = Field(
        None, validation_alias="SLACK_APP_TOKEN", description="the app's token, `xapp-...`: Socket Mode"
    )
    slack_signing_secret: SecretStr | None = Field(
        None, validation_alias="SLACK_SIGNING_SECRET", description="HTTP mode: proves that a request is Slack's"
    )
    slack_client_id: str | None = Field(
        None, validation_alias="SLACK_CLIENT_ID", description="many workspaces (OAuth), with the client secret"
    )
    slack_client_secret: SecretStr | None = Field(
        None, validation_alias="SLACK_CLIENT_SECRET", description="many workspaces (OAuth), with the client id"
    )
    slack_optional_scopes: Annotated[tuple[Literal["usergroups:read", "users:read.email"], ...], NoDecode] = Field(
        (),
        validation_alias="SLACK_OPTIONAL_SCOPES",
        description="scopes that an installation over OAuth requests as well, separated by commas: `usergroups:read` "
        "(user groups as operators and approvers), `users:read.email` (people by email address)",
    )
    slack_api_url: str = Field(
        "https://slack.com/api/",
        validation_alias="SLACK_API_URL",
        description="where the Slack Web API is; the sandbox, in a demo or a test",
    )
    otlp_endpoint: str | None = Field(
        None,
        validation_alias="OTEL_EXPORTER_OTLP_ENDPOINT",
        description="address of an OpenTelemetry collector (OTLP over HTTP) that gets traces and metrics; needs the "
        "extra `otel`",
    )
    sentry_dsn: SecretStr | None = Field(
        None,
        validation_alias="SENTRY_DSN",
        description="the DSN of a Sentry project that gets unexpected errors; needs the extra `sentry`",
    )
    host: str = Field("127.0.0.1", description="address that the HTTP server listens at")
    port: int = Field(8080, ge=0, le=65535, description="port of the HTTP server; 0 for a free one")
    metrics_port: int | None = Field(
        None,
        ge=0,
        le=65535,
        description="port on which `/metrics` and `/readyz` listen by themselves; 0 for a free one "
        "(default: they are on the HTTP server)",
    )
    metrics_host: str = Field("127.0.0.1", description="address for the metrics port")
    audience_paths: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="folders and addresses (`https://...`, `s3://...`, `gs://...`) from which people in Slack may "
        "have audiences read, separated by commas (default: none). If many workspaces install the app, each has its "
        "own: `T0123=/data/a,s3://a;T0456=/data/b`",
    )
    allowed_workspaces: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="ids (`T...`) of the Slack workspaces that may install the app over OAuth, and ids (`E...`) of "
        "organizations whose workspaces all may, separated by commas; `*` allows every workspace (default: none)",
    )
    uninstall_retention_days: float = Field(
        30.0,
        ge=0.0,
        description="days after which all data of a workspace that removed the app is erased",
    )
    changes_retention_days: float = Field(
        30.0,
        gt=0.0,
        description="days after which what an ended run changed is deleted; until then it can be undone",
    )
    rejections_retention_days: float = Field(
        30.0, gt=0.0, description="days after which the members that an ended run rejected are deleted"
    )
    former_emails_retention_days: float = Field(
        30.0,
        gt=0.0,
        description="days after which the last addresses of people who left are deleted",
    )
    events_retention_days: float = Field(
        30.0, gt=0.0, description="days after which events that were sent to routes are deleted"
    )
    runs_retention_days: float | None = Field(
        None,
        ge=1.0,
        description="days after which ended runs without changes and rejections are deleted, except the 25 newest of "
        "each mapping (default: they are kept)",
    )
    alerts_retention_days: float | None = Field(
        None, ge=1.0, description="days after which alerts that have ended are deleted (default: they are kept)"
    )
    audit_retention_days: float | None = Field(
        None, ge=30.0, description="days after which entries of the audit log are deleted (default: they are kept)"
    )
    iterable_url: str | None = Field(
        None,
        description="where Iterable's API is (default: by data center); the sandbox, in a demo or a test",
    )
    mparticle_url: str | None = Field(
        None,
        description="where mParticle's platform API and its tokens are (default: by pod); the sandbox, in a demo or a "
        "test",
    )
    firehose_token: SecretStr | None = Field(
        None, description="turns on the endpoint for mParticle's Firehose: the last part of its address"
    )
    quiet_hours: str | None = Field(
        None,
        description="hours in which Slack gets no new message about scheduled syncs and no alert, such as "
        "`22:00-06:00 Europe/Berlin`; they follow afterwards (default: none)",
    )
    mentions_requester: bool = Field(
        True,
        description="whether a reply in the thread of a sync mentions whoever started it when it has ended (`true`); "
        "`false` keeps channels quiet",
    )
    firehose_approval: FirehoseApproval = Field(
        FirehoseApproval.REQUIRED,
        description="whether a live mapping waits for a person (`required`), or is what mParticle says (`none`)",
    )
    approval_expiry_s: float = Field(
        259_200.0,
        gt=0.0,
        description="how long a run waits for approval before it expires (seconds)",
    )
    firehose_gather_s: float = Field(
        2.0,
        ge=0.0,
        le=3600.0,
        description="how long live changes of a list are gathered before they go out (seconds)",
    )
    firehose_merge_window_s: float = Field(
        30.0,
        ge=0.0,
        le=3600.0,
        description="how long a person who leaves a live audience waits for one with the same customer id or email who "
        "joins: mParticle merges profiles so (seconds)",
    )
    firehose_backlog_alert_s: float = Field(
        900.0, gt=0.0, description="how old live changes may become before an alert says so (seconds)"
    )
    firehose_max_mb: float = Field(2.0, gt=0.0, le=1024.0, description="the largest Firehose message, in MB")
    firehose_max_concurrent: int = Field(
        64, ge=1, description="how many Firehose messages are worked on at once; more are asked to come again"
    )
    log_format: Literal["text", "json"] = Field("text", description="format of the log on standard error")
    data_dir: Path = Field(Path("data"), description="database, working files, generated key")
    database_url: SecretStr | None = Field(
        None, description="`postgresql://...` for many workers (default: SQLite in the data directory)"
    )
    secret_key: SecretStr | None = Field(
        None,
        description="encrypts API keys; a comma-separated list rotates, newest first "
        "(default: made at first start, in the data directory)",
    )
    worker_id: str = Field(
        default_factory=socket.gethostname,
        description="stable name of this process among many (default: the host name)",
        min_length=1,
        max_length=200,
    )

    _variables: dict[str, str] = PrivateAttr(default_factory=dict)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Leave out a source that contains no setting: it would take milliseconds to look for every one."""
        variables = {_variable(name).lower() for name in settings_cls.model_fields}
        return init_settings, *(
            source
            for source in (env_settings, dotenv_settings)
            if not (isinstance(source, EnvSettingsSource) and variables.isdisjoint(source.env_vars))
        )

    def variable_of(self, name: str) -> str:
        """Return the variable that a secret setting comes from: `name`, or the one of its file or its command."""
        return self._variables.get(name, name)

    @field_validator("iterable_url", "mparticle_url")
    @classmethod
    def _is_http(cls, url: str | None) -> str | None:
        return _encrypted_or_local(url).rstrip("/") if url is not None else None

    @field_validator("quiet_hours")
    @classmethod
    def _is_quiet_hours(cls, text: str | None) -> str | None:
        if text:
            parse_quiet_hours(text)
        return text or None

    def is_quiet(self, now: float) -> bool:
        """Return whether a time (UTC seconds) is in the quiet hours for messages."""
        return self.quiet_hours is not None and parse_quiet_hours(self.quiet_hours).until(now) is not None

    @property
    def changes_retention_s(self) -> float:
        """How long what an ended run changed is kept, in seconds."""
        return self.changes_retention_days * DAY_S

    @property
    def rejections_retention_s(self) -> float:
        """How long the members that an ended run rejected are kept, in seconds."""
        return self.rejections_retention_days * DAY_S

    @field_validator("data_dir")
    @classmethod
    def _in_home(cls, path: Path) -> Path:
        return path.expanduser()

    @field_validator("audience_paths", mode="before")
    @classmethod
    def _split_places(cls, value: Any) -> Any:
        """Return one entry for each place. The places of a workspace begin with its id, as in `T0123=/data/a`."""
        if not isinstance(value, str):
            return value
        places: list[str] = []
        for group in value.split(";"):
            scoped = _OF_WORKSPACE.fullmatch(group.strip())
            prefix, listed = (f"{scoped[1]}=", scoped[2]) if scoped else ("", group)
            places += [f"{prefix}{place}" for place in _comma_separated(listed)]
        return tuple(places)

    @field_validator("slack_optional_scopes", mode="before")
    @classmethod
    def _split_scopes(cls, value: Any) -> Any:
        return _comma_separated(value) if isinstance(value, str) else tuple(value)

    @field_validator("allowed_workspaces", mode="before")
    @classmethod
    def _split_workspaces(cls, value: Any) -> Any:
        workspaces = _comma_separated(value) if isinstance(value, str) else tuple(value)
        if wrong := [
            workspace for workspace in workspaces if workspace != ANY and not re.fullmatch(r"[ET][A-Z0-9]+", workspace)
        ]:
            raise ValueError(f"{wrong[0][:40]} is not the id of a workspace, which looks like T0123ABCD")
        return workspaces

    @field_validator("slack_api_url")
    @classmethod
    def _ends_with_slash(cls, url: str) -> str:
        return _encrypted_or_local(url).rstrip("/") + "/"

    @field_validator(
        "iterable_api_key",
        "firehose_token",
        "database_url",
        "secret_key",
        "slack_bot_token",
        "slack_app_token",
        "slack_signing_secret",
        "slack_client_id",
        "slack_client_secret",
        "otlp_endpoint",
        "sentry_dsn",
        mode="before",
    )
    @classmethod
    def _blank_is_unset(cls, value: Any) -> Any:
        return (value.strip() or None) if isinstance(value, str) else value

    @field_validator("metrics_port", mode="before")
    @classmethod
    def _blank_port_is_unset(cls, value: Any) -> Any:
        return None if value == "" else value

    def check_firehose_token(self) -> None:
        """Raise SettingsError if the Firehose token is so short that it can be guessed."""
        token = self.firehose_token
        if token is not None and len(token.get_secret_value()) < FIREHOSE_TOKEN_LENGTH:
            raise SettingsError(
                f"ITERABLE_SYNC_FIREHOSE_TOKEN has fewer than {FIREHOSE_TOKEN_LENGTH} characters, so it could be "
                "guessed. Make one with: openssl rand -hex 24. Then change the address in mParticle."
            )

    def audience_places(self, team_id: str) -> tuple[str, ...]:
        """The folders and addresses that a workspace may read audiences from: its own, and those of every workspace."""
        scoped_places = [(place, _OF_WORKSPACE.fullmatch(place)) for place in self.audience_paths]
        return tuple(
            scoped[2] if scoped else place for place, scoped in scoped_places if not scoped or scoped[1] == team_id
        )

    @property
    def unscoped_places(self) -> tuple[str, ...]:
        """The folders and addresses that every workspace may read."""
        return tuple(place for place in self.audience_paths if not _OF_WORKSPACE.fullmatch(place))

    def may_install(self, team_id: str | None) -> bool:
        """Return whether a workspace or organization may install and use the app, if many workspaces may."""
        return ANY in self.allowed_workspaces or team_id in self.allowed_workspaces

    @property
    def resolved_database_url(self) -> str:
        """The database's SQLAlchemy URL."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite:///{quote(str(self.data_dir.absolute() / 'iterable-sync.sqlite'))}"


def _variable(name: str) -> str:
    """Return the variable that sets a field. In errors, a field with a variable of its own has that as its name."""
    field = Settings.model_fields.get(name)
    alias = field.validation_alias if field is not None else name
    return alias if isinstance(alias, str) else f"ITERABLE_SYNC_{name.upper()}"


def _secret_settings() -> Iterator[tuple[str, str]]:
    for name, field in Settings.model_fields.items():
        if SecretStr in get_args(field.annotation):
            yield _variable(name), field.validation_alias if isinstance(field.validation_alias, str) else name


#: The secret settings: the parameter of `Settings` by the name of the variable.
SECRETS = dict(_secret_settings())


def load_settings() -> Settings:
    """Read and return the settings. Raises SettingsError with the names of wrong settings, and with values that are
    numbers out of their limits; others may be secret."""
    check_encoding(Path(ENV_FILE))
    secrets = read_secrets(SECRETS, Path(ENV_FILE))
    try:
        # aliases and defaults: the environment fills the rest
        settings = Settings(**{SECRETS[name]: secret.value for name, secret in secrets.items()})  # type: ignore[arg-type]
    except ValidationError as error:
        raise SettingsError("; ".join(_sentence(fault) for fault in error.errors()) + ".") from None
    settings._variables.update({name: secret.variable for name, secret in secrets.items()})  # noqa: SLF001
    return settings


def _sentence(fault: ErrorDetails) -> str:
    """Return what is wrong with a setting, without a full stop: `ITERABLE_SYNC_PORT must be 0-65535 (is 99999)`."""
    name = str(fault["loc"][0]) if fault["loc"] else "settings"
    field = Settings.model_fields.get(name)
    words = describe_range(fault, field.metadata if field is not None else ())
    return f"{_variable(name)} {words}" if words.startswith("must ") else f"{_variable(name)}: {words}"


def _encrypted_or_local(url: str) -> str:
    """Return the URL. Raises ValueError if keys and tokens would cross a network unencrypted."""
    if not url.startswith(("http://", "https://")):
        raise ValueError("must begin with https://")
    host = _host_of(url)
    if url.startswith("http://") and not _is_loopback(host):
        raise ValueError("must begin with https://; http:// is possible on this machine only (127.0.0.1, localhost)")
    return url


def _host_of(url: str) -> str:
    """Return the host of a URL. Raises ValueError if it has none, or a port that is no number."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        host = ""
    if not host:
        raise ValueError("must be an address such as https://host or https://host:port")
    return host


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _comma_separated(text: str) -> tuple[str, ...]:
    return tuple(filter(None, (part.strip() for part in text.split(","))))
