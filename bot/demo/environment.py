"""Where the demo plays: everything opened in a temporary folder, and nothing left of it afterwards."""

import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bot.messages.limits import MessagingLimits
from bot.serve import serving
from bot.services import Services
from core.engine import Engine, open_engine
from core.errors import InputError
from core.iterable import RetryPolicy
from core.settings import Settings
from sandbox import sample_audiences
from sandbox.iterable import Running as Iterable
from sandbox.iterable import running as iterable_running
from sandbox.iterable.rate_limits import Limit
from sandbox.slack import Slack
from sandbox.slack import running as slack_running

#: How long a run goes on when Iterable is broken by the switch: long enough to see it wait, and no longer.
PATIENCE = RetryPolicy(
    max_attempts=4, backoff_initial_s=0.5, backoff_max_s=4.0, throttle_timeout_s=30.0, request_timeout_s=10.0
)
#: Less than the real Iterable permits, so that a person can watch the 5,000 sample members for some 15 seconds.
WATCHABLE = Limit(1, 2.0)
#: The list that the demo suggests.
LIST_NAME = "Spring shoppers"

#: The token in the address that the demo's mParticle sends to. It is secret to nobody.
FIREHOSE_TOKEN = "demo"  # noqa: S105

#: The one at the root of the project, as it is installed.
MANIFEST = Path(__file__).parents[1] / "slack" / "manifest.yml"


@dataclass(frozen=True, slots=True)
class DemoEnvironment:
    """Everything that plays along."""

    slack: Slack
    iterable: Iterable
    engine: Engine
    services: Services
    first: Path
    later: Path
    list_id: int


@asynccontextmanager
async def demo_environment(
    port: int, *, pace: MessagingLimits | None = None, patience: RetryPolicy = PATIENCE, limit: Limit | None = None
) -> AsyncIterator[DemoEnvironment]:
    """Open everything for the length of the block. Raises InputError where the port of Slack's page is taken.

    `limit` is how many requests that carry members the local Iterable permits.
    """
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="iterable-sync-demo-")))
        audiences = folder / "audiences"
        audiences.mkdir()
        first, later = sample_audiences.write_first(audiences), sample_audiences.write_later(audiences)
        iterable = await stack.enter_async_context(iterable_running())
        if limit is not None:
            iterable.settings.limits["bulk"] = limit
        target = iterable.state.add_list(LIST_NAME)
        try:
            slack = await stack.enter_async_context(
                slack_running(port=port, manifest=_manifest(), iterable_url=iterable.url)
            )
        except OSError as error:
            raise InputError(f"Port {port} can't be listened at ({error.strerror}). Choose another: --port.") from error
        settings = _settings(slack, iterable, folder / "data", audiences)
        engine = await stack.enter_async_context(open_engine(settings, "demo", patience=patience))
        services = await stack.enter_async_context(serving(engine, pace=pace))
        await slack.wait_connected()
        address = f"{services.address}/mparticle/firehose/{FIREHOSE_TOKEN}"
        slack.use_mparticle(address, {"apiKey": iterable.key, "userIdField": "customerId"})
        yield DemoEnvironment(slack, iterable, engine, services, first, later, target.id)


def _manifest() -> dict[str, Any]:
    """The app's manifest."""
    found: dict[str, Any] = yaml.safe_load(MANIFEST.read_text("utf-8"))
    return found


def _settings(slack: Slack, iterable: Iterable, data_dir: Path, audiences: Path) -> Settings:
    """Settings of the demo's own: each is said here, so that nothing of the real ones is touched."""
    values: dict[str, Any] = dict.fromkeys(_NOT_SET) | {
        "SLACK_API_URL": slack.api_url,
        "SLACK_BOT_TOKEN": slack.bot_token,
        "SLACK_APP_TOKEN": slack.app_token,
        "iterable_url": iterable.url,
        "audience_paths": (str(audiences),),
        "data_dir": data_dir,
        "worker_id": "demo",
        "host": "127.0.0.1",
        "port": 0,
        "firehose_token": FIREHOSE_TOKEN,
    }
    return Settings.model_validate(values)


_NOT_SET = (
    "ITERABLE_API_KEY",
    "SLACK_SIGNING_SECRET",
    "SLACK_CLIENT_ID",
    "SLACK_CLIENT_SECRET",
    "database_url",
    "secret_key",
)
