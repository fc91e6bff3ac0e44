"""The environment of the demo, in a temporary folder that is removed at the end, and its welcome messages."""

import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bot.messages.limits import MessagingLimits
from bot.serve import serving
from bot.services import Services
from core.engine import Engine, open_engine
from core.errors import InputError
from core.identity import ProjectType
from core.iterable import RetryPolicy
from core.settings import Settings
from sandbox import sample_audiences
from sandbox.iterable import Running as Iterable
from sandbox.iterable import running as iterable_running
from sandbox.iterable.rate_limits import Limit
from sandbox.slack import Slack
from sandbox.slack import running as slack_running

#: How long a run retries after a person breaks Iterable: long enough to watch it wait.
PATIENCE = RetryPolicy(
    max_attempts=4, backoff_initial_s=0.5, backoff_max_s=4.0, throttle_timeout_s=30.0, request_timeout_s=10.0
)
#: Fewer requests a second than the real Iterable allows, so that 5,000 sample members take some 15 seconds.
WATCHABLE = Limit(1, 2.0)
#: The name of the list that the demo suggests.
LIST_NAME = "Spring shoppers"

#: The token in the Firehose URL of the demo. It protects nothing.
FIREHOSE_TOKEN = "demo-token-that-protects-nothing"  # noqa: S105

#: The manifest at the root of the project, or its installed copy.
MANIFEST = Path(__file__).parents[1] / "slack" / "manifest.yml"


@dataclass(frozen=True, slots=True)
class DemoEnvironment:
    """The services of the demo."""

    slack: Slack
    iterable: Iterable
    engine: Engine
    services: Services
    first: Path
    later: Path
    list_id: int


@asynccontextmanager
async def demo_environment(
    port: int,
    *,
    pace: MessagingLimits | None = None,
    retry_policy: RetryPolicy = PATIENCE,
    limit: Limit | None = None,
    project_type: ProjectType = ProjectType.EMAIL,
) -> AsyncIterator[DemoEnvironment]:
    """Open the environment for the length of the block. Raises InputError if the port of Slack's page is taken.

    `limit` is the number of bulk requests a second that the local Iterable allows, `project_type` that of its project.
    """
    async with AsyncExitStack() as stack:
        stack.enter_context(_without_proxy())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="iterable-sync-demo-")))
        audiences = folder / "audiences"
        audiences.mkdir()
        first, later = sample_audiences.write_first(audiences), sample_audiences.write_later(audiences)
        iterable = await stack.enter_async_context(iterable_running(project_type=project_type.value))
        if limit is not None:
            iterable.settings.limits["bulk"] = limit
        target = iterable.state.add_list(LIST_NAME)
        try:
            slack = await stack.enter_async_context(
                slack_running(port=port, manifest=_manifest(), iterable_url=iterable.url)
            )
        except OSError as error:
            raise InputError(f"Port {port} is not available ({error.strerror}). Choose another with --port.") from error
        settings = _settings(slack, iterable, folder / "data", audiences)
        engine = await stack.enter_async_context(open_engine(settings, "demo", retry_policy=retry_policy))
        services = await stack.enter_async_context(serving(engine, pace=pace))
        await slack.wait_connected()
        address = f"{services.address}/mparticle/firehose/{FIREHOSE_TOKEN}"
        slack.use_mparticle(address, {"apiKey": iterable.key, "userIdField": "customerId"})
        yield DemoEnvironment(slack, iterable, engine, services, first, later, target.id)


@contextmanager
def _without_proxy() -> Iterator[None]:
    """Reach this machine without the environment's proxy for the length of the block."""
    name = "no_proxy" if "no_proxy" in os.environ else "NO_PROXY"
    before = os.environ.get(name)
    os.environ[name] = f"{before},127.0.0.1,localhost" if before else "127.0.0.1,localhost"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _manifest() -> dict[str, Any]:
    """Read the app's manifest."""
    manifest: dict[str, Any] = yaml.safe_load(MANIFEST.read_text("utf-8"))
    return manifest


def _settings(slack: Slack, iterable: Iterable, data_dir: Path, audiences: Path) -> Settings:
    """Return the settings of the demo. They are complete, so that no real setting is used."""
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


MARKETING = "marketing"


async def post_welcome_messages(environment: DemoEnvironment) -> None:
    """Post the welcome messages and the sample files as people of the workspace."""
    ada, maya = environment.slack.admin, environment.slack.marketer
    await ada.say(_how_to_begin(environment.iterable.key), MARKETING)
    await maya.upload_file(
        MARKETING,
        environment.first.name,
        environment.first.read_bytes(),
        "SpringShoppers, as I have downloaded it from mParticle",
    )
    await maya.upload_file(
        MARKETING, environment.later.name, environment.later.read_bytes(), "And the same audience a week later"
    )


def _how_to_begin(key: str) -> str:
    return (
        "*Welcome!* Iterable Sync keeps a list in Iterable equal to an audience of mParticle. You see what would "
        "change before anything is sent. This Slack and a local Iterable run on your computer only. Nothing real is "
        "touched.\n"
        "1. Be me, Ada (*Acting as*, upper left): only an admin connects Iterable. Copy the API key, "
        f"`{key}`, and type `/iterable-sync` here. Take #sync-alerts for alerts, and Amir as approver.\n"
        f'2. Be Maya. Type `/iterable-sync map`: audience SpringShoppers, list "{LIST_NAME}". Then sync the first file '
        "below: *Sync to Iterable* in the menu (⋯) of its message.\n"
        "3. Be Amir. Press *Review* on the card that has appeared here, and approve. Watch the message change.\n"
        "4. Be Maya. Break Iterable under *Sandbox* (upper right), and sync the second file. Read the alert in "
        "#sync-alerts, mend Iterable, press *Retry now*.\n"
        "5. A live audience: press *Play mParticle* under *Sandbox*. Be Amir. Press *Review* on the card in "
        "#sync-alerts, choose a list, approve: people arrive on it as they join. Then press *Disconnect the audience*."
    )
