"""Test harness: the bot in this process, with a local Slack and a local Iterable."""

import os
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bot.messages.limits import MessagingLimits
from bot.serve import serving
from bot.services import Services
from bot.slack import message_links, submission
from core.connections.manage import connect
from core.connections.mapping_lifecycle import propose
from core.engine import Engine, open_engine
from core.identity import UserIdField
from core.iterable import DataCenter, IterableList
from core.models.run import Run
from core.settings import Settings
from core.store import mappings, runs
from core.store.connections import Connection
from core.store.mappings import AdditionLimits, AudienceMapping, MappingStatus, RemovalPolicy
from sandbox.iterable import Running
from sandbox.iterable import running as iterable_running
from sandbox.slack import Slack
from sandbox.slack import running as slack_running
from tests.bot.slack.covered import COVERED
from tests.core.databases import furnish
from tests.core.harness import QUICK, Member

# On a busy machine, too, a submission is answered with its outcome: tests of the modal that waits set less.
submission.ACK_WITHIN_S = 30.0
message_links.ANSWER_WITHIN_S = 30.0  # and Slack names the address of the workspace
#: How long the local Slack waits for an acknowledgement, in seconds.
ACK_TIMEOUT = 60.0

MANIFEST: dict[str, Any] = yaml.safe_load((Path(__file__).parents[3] / "manifest.yml").read_text())
TEAM = "T01FERNWAY"
MAYA, AMIR, OKSANA, ADA = "U01MAYA", "U01AMIR", "U01OKSANA", "U01ADA"
MARKETING, ALERTS, ARCHIVED = "C01MARKETING", "C01ALERTS", "C01OLD"
#: A Standard list that the local Iterable has from the start.
LIST = 1001
#: Short intervals, so that tests do not wait for updates.
BRISK = MessagingLimits(
    look=0.25,
    idle_look=1.0,
    follow=0.25,
    least_look=0.02,
    gap=0.1,
    edits_a_minute=6000,
    posts_a_minute=6000,
    back_off=0.1,
    most_back_off=0.5,
    proposals=1.0,
    ending=3.0,
)


@dataclass
class Workspace:
    """A local workspace with the running bot. `services` are the bot's own."""

    slack: Slack
    iterable: Running
    engine: Engine
    services: Services

    async def connection(self, name: str = "Shop", **changed: Any) -> Connection:
        """Save a connection: Maya and Oksana are operators, Amir is approver, alerts go to #sync-alerts."""
        values = {
            "name": name,
            "api_key": self.iterable.key,
            "data_center": DataCenter.US,
            "user_id_field": UserIdField.CUSTOMER_ID,
            "requests_per_second": 0.0,
            "team_id": TEAM,
            "alert_channel": ALERTS,
            "operators": (MAYA, OKSANA),
            "approvers": (AMIR,),
        }
        return (await connect(self.engine, **{**values, **changed})).connection

    async def mapping(
        self,
        connection: Connection,
        audience: str = "SpringShoppers",
        *,
        list_id: int = LIST,
        active: bool = True,
        removals: RemovalPolicy = RemovalPolicy.REMOVE,
    ) -> AudienceMapping:
        """Propose a mapping as Maya, shown in #marketing; approve it if `active`.

        Its limit of additions is so high that a first sync of thousands starts without an approval.
        """
        stored_list = self.iterable.state.lists.get(list_id)
        created_at = stored_list.created_at if stored_list is not None else None
        target = IterableList(list_id, f"List {list_id}", "Standard", created_at=created_at)
        mapping = await propose(
            self.engine,
            connection,
            target,
            audience=audience,
            mode="auto",
            removals=removals,
            channel=MARKETING,
            by=MAYA,
            team_id=TEAM,
            limits=AdditionLimits(number=100_000),
        )
        if active:
            async with self.engine.database.write() as db:
                await mappings.decide(db, mapping.id, MappingStatus.ACTIVE, by=AMIR, comment=None)
        return mapping

    async def run(self, run_id: str) -> Run:
        """Return a run as it is stored now."""
        async with self.engine.database.read() as db:
            run = await runs.by_id(db, run_id)
        assert run is not None
        return run

    async def latest_run(self) -> Run:
        """Return the newest run."""
        async with self.engine.database.read() as db:
            return (await runs.latest(db, 1))[0]

    def emails(self, list_id: int = LIST) -> set[str]:
        """Return the emails (or user ids) of a list's members in the local Iterable."""
        return {email or user_id or "" for email, user_id in self.iterable.state.members(list_id)}


def audience(members: Iterable[Member]) -> bytes:
    """Return a whole audience as a plain table."""
    rows = [f"{member.mpid},{member.email or ''},{member.customer_id or ''}\n" for member in members]
    return ("mpid,email,customer_id\n" + "".join(rows)).encode()


def settings_for(
    slack: Slack, iterable: Running, directory: Path, database_url: str | None = None, **more: Any
) -> Settings:
    """Return the bot's settings for a local Slack (Socket Mode) and a local Iterable."""
    values: dict[str, Any] = {
        "SLACK_API_URL": slack.api_url,
        "SLACK_BOT_TOKEN": slack.bot_token,
        "SLACK_APP_TOKEN": slack.app_token,
        "iterable_url": iterable.url,
        "mparticle_url": iterable.url,  # it has no platform API; nothing real is asked
        "audience_paths": os.environ.get("ITERABLE_SYNC_AUDIENCE_PATHS", str(directory)),
        "data_dir": directory / "data",
        "database_url": database_url,
        "worker_id": "test",
        "port": 0,
        **more,
    }
    return Settings(**values, _env_file=None)  # type: ignore[call-arg]


@asynccontextmanager
async def local_slack(**options: Any) -> AsyncIterator[Slack]:
    """Run a local Slack with our app. At the end, raises AssertionError if the bot made a call that no fault test
    covers."""
    async with slack_running(**{"manifest": MANIFEST, "ack_timeout": ACK_TIMEOUT, **options}) as slack:
        yield slack
        unknown = slack.world.asked - COVERED
        assert not unknown, f"the bot calls {unknown}, which tests/bot/slack/fault_matrix.py does not let fail"


@asynccontextmanager
async def workspace(
    directory: Path,
    database_url: str | None = None,
    pace: MessagingLimits = BRISK,
    *,
    mparticle_url: str | None = None,
    **slack_options: Any,
) -> AsyncIterator[Workspace]:
    """Run a local Slack and a local Iterable with the bot between them, for the length of the block.

    `mparticle_url` is the address of a local platform API.
    """
    async with AsyncExitStack() as stack:
        iterable = await stack.enter_async_context(iterable_running())
        slack = await stack.enter_async_context(local_slack(**slack_options))
        async with running_bot(slack, iterable, directory, database_url, pace, mparticle_url) as running:
            yield running


@asynccontextmanager
async def running_bot(
    slack: Slack,
    iterable: Running,
    directory: Path,
    database_url: str | None = None,
    pace: MessagingLimits = BRISK,
    mparticle_url: str | None = None,
) -> AsyncIterator[Workspace]:
    """Run the bot alone, with a Slack and an Iterable that outlive it, so that it can be started again."""
    more = {} if mparticle_url is None else {"mparticle_url": mparticle_url}
    settings = settings_for(slack, iterable, directory, database_url, **more)
    furnish(settings)
    async with open_engine(settings, "test", retry_policy=QUICK) as engine, serving(engine, pace=pace) as services:
        await slack.wait_connected()
        yield Workspace(slack, iterable, engine, services)
