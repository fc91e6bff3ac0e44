"""Every answer of Slack to every call of the bot: what the person sees, and that the sync does not mind.

A point is something that the bot shows or asks for, at its place in the story; while Slack answers in one way there, it
is looked at what everybody sees in the end. One bot plays all of it, one scene after the other.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from bot.features.home import publisher
from bot.features.ids import (
    ConnectCallback,
    MappingAction,
    MappingCallback,
    RunAction,
    RunBlock,
    RunCallback,
    UndoCallback,
)
from bot.features.runs import rejected_file
from bot.slack import admins, clients, file_source, reply
from core import mapping_lifecycle
from core.iterable import IterableList
from core.models.run import RunRequest, RunStatus
from core.runs import commands
from core.store import lists, mappings, slack_messages
from core.store.connections import Connection
from core.store.mappings import AudienceMapping, MappingStatus, RemovalPolicy
from sandbox.mparticle import Audience
from sandbox.slack.faults import LOST_ANSWER, NO_ANSWER, RATE_LIMITED, SERVER_ERROR, Fault
from sandbox.slack.users.user_driver import Person
from sandbox.slack.workspace.models import Message, View
from tests.bot.slack.following import LONG
from tests.bot.slack.harness import ALERTS, AMIR, BRISK, MARKETING, MAYA, TEAM, audience
from tests.bot.slack.live import Fed, fed
from tests.core.harness import Decision, Member, decide
from tests.core.harness import people as members

#: How Slack answers. What passes strikes once, what is refused for as long as the scene lasts.
PASSING: Mapping[str, dict[str, Any]] = {
    "429": {"kind": RATE_LIMITED, "count": 1},
    "5xx": {"kind": SERVER_ERROR, "status": 503, "count": 1},
    "no answer": {"kind": NO_ANSWER, "count": 1},
    "answer lost": {"kind": LOST_ANSWER, "count": 1},
}
REFUSALS = ("channel_not_found", "not_in_channel", "is_archived", "msg_too_long")
# What is wrong with blocks has another name where they are of a window or of a page.
FAULTS: Mapping[str, dict[str, Any]] = {
    **PASSING,
    **{word: {"kind": word} for word in (*REFUSALS, "invalid_blocks", "invalid_arguments")},
}
#: Where bytes go and come, nobody answers with words.
OF_BYTES = tuple(PASSING)
#: What somebody did is shown as soon as ever; that nobody did anything is looked at less often.
UNHURRIED = replace(BRISK, look=0.25, least_look=0.05)
# These are about the blocks: text alone is taken.
_ABOUT_BLOCKS = ("invalid_blocks", "msg_too_long")

Look = Callable[[], str]


@dataclass
class Scene:
    """One fault at one point, with an audience and a list of its own."""

    here: Fed
    connection: Connection
    number: int
    fault: str
    method: str
    since: str
    active: Fault | None = None
    run_id: str = ""
    size: int = 0
    list_id: int = 0

    @property
    def name(self) -> str:
        """What the audience of this scene is called."""
        return f"Audience{self.number:03d}"

    # -- what is done -----------------------------------------------------------------------------

    def strike(self, channel: str | None = None, text: str | None = None) -> Fault:
        """From now on Slack answers so, or only to what says this.

        Edits of another scene's messages, which may come late, go right.
        """
        options = dict(FAULTS[self.fault])
        if self.method == "chat.update":
            options["text"] = text or self.name
        if self.fault in _ABOUT_BLOCKS and self.method.startswith("chat."):
            options["count"] = 1
        self.active = self.here.slack.faults.add(options.pop("kind"), self.method, channel=channel, **options)
        return self.active

    async def struck(self) -> None:
        """Wait until Slack has answered so."""
        assert self.active is not None
        fault = self.active
        await self.here.slack.wait_for(lambda: fault.struck, LONG, f"{self.fault} of {self.method}")

    def over(self) -> None:
        """Slack answers as it should again."""
        self.here.slack.faults.clear()

    async def mapping(self, *, active: bool = True) -> AudienceMapping:
        """A mapping to a new list."""
        made = self.here.iterable.state.add_list(f"List {self.number:03d}")
        self.list_id = made.id
        target = IterableList(made.id, made.name, "Standard")
        mapping = await mapping_lifecycle.propose(
            self.here.engine,
            self.connection,
            target,
            audience=self.name,
            mode="auto",
            removals=RemovalPolicy.REMOVE,
            channel=MARKETING,
            by=MAYA,
            team_id=TEAM,
        )
        if active:
            async with self.here.engine.database.write() as db:
                await mappings.decide(db, mapping.id, MappingStatus.ACTIVE, by=AMIR, comment=None)
        return mapping

    def file(self, more: tuple[Member, ...] = ()) -> bytes:
        """The audience: three members, and these."""
        numbers = range(10 * self.number, 10 * self.number + 3)
        self.size = len(numbers)
        return audience([*members(numbers), *more])

    async def start(self, mapping: AudienceMapping, *, more: tuple[Member, ...] = (), path: str = "") -> str:
        """Start a run, as Maya does."""
        folder = self.here.engine.settings.data_dir
        file = folder / f"{self.name}.csv"
        file.write_bytes(self.file(more))
        request = RunRequest(path=path or str(file))
        self.run_id = await commands.start(self.here.engine, mapping, request, by=MAYA, channel=MARKETING, team_id=TEAM)
        self.here.services.wake()
        return self.run_id

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Let runs to this scene's list wait for the length of the block."""
        worker = self.here.engine.presence.id
        async with self.here.engine.database.write() as db:
            if await lists.get(db, self.connection.id, self.list_id) is None:
                await lists.add(db, self.connection.id, self.list_id, f"List {self.number:03d}", None)
            assert await lists.acquire(db, self.connection.id, self.list_id, "another", worker)
        try:
            yield
        finally:
            async with self.here.engine.database.write() as db:
                await lists.release(db, self.connection.id, self.list_id, worker)

    async def settled(self, key: str) -> None:
        """Wait until it is known what became of a message that was to be posted."""
        async with asyncio.timeout(LONG):
            while True:
                async with self.here.engine.database.read() as db:
                    post = await slack_messages.get(db, key)
                if post is not None and post.status not in (
                    slack_messages.MessageStatus.NEW,
                    slack_messages.MessageStatus.SENDING,
                ):
                    return
                await asyncio.sleep(0.05)

    async def ended(self, status: RunStatus = RunStatus.SUCCEEDED) -> None:
        """Wait until the run has ended; its list is then equal to the audience."""
        async with asyncio.timeout(LONG):
            while (run := await self.here.run(self.run_id)).status.is_active:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert run.status is status, run.error
        if status is RunStatus.SUCCEEDED:
            wanted = {f"p{number}@example.com" for number in range(10 * self.number, 10 * self.number + self.size)}
            assert self.here.emails(self.list_id) == wanted

    # -- what is seen -----------------------------------------------------------------------------

    def messages(self, marker: str) -> list[tuple[str, Message]]:
        """The bot's messages of this scene with these words in them, and where they are."""
        found = []
        slack = self.here.slack
        channels = [slack.channel(MARKETING), slack.channel(ALERTS), slack.channel("general")]
        readers = [slack.marketer, slack.approver, slack.admin]
        for channel in channels:
            for message in channel.messages:
                person = next((each for each in readers if each.id == message.only_for), None)
                where = f"#{channel.name}" if not message.only_for else f"#{channel.name}, to one person alone"
                if message.thread_ts:
                    where = f"a thread of #{channel.name}"
                if person is not None or not message.only_for:
                    found.append((where, message))
        for person in readers:
            found += [(f"a direct message to {person.user.name}", each) for each in person.direct_message.messages]
        return [
            (where, message)
            for where, message in found
            if message.bot_id and message.ts > self.since and marker in self.render(message)
        ]

    def render(self, message: Message | View) -> str:
        """As it is read, without what differs from one time to the next."""
        text = self.here.slack.render(message)
        for known, word in ((self.name, "AUDIENCE"), (self.run_id or "\0", "RUN"), (f"List {self.number:03d}", "LIST")):
            text = text.replace(known, word)
        return re.sub(rf"\({self.list_id}\)|\b{self.list_id or 'none'}\b", "", text)

    def seen(self, marker: str, of: str = "AUDIENCE") -> str:
        """Where there is something to be seen that says this, and why it is there."""
        places = []
        for where, message in self.messages(marker):
            if of not in self.render(message):
                continue
            shape = "" if message.blocks else ", as text alone"
            why = re.search(r"You get this here because[^\n]*?\.(?= Whatever| Invite|$|\n)", self.render(message))
            places.append(f"{where}{shape}" + (f" (“{why[0]}”)" if why else ""))
        twice = {each for each in places if places.count(each) > 1}
        assert not twice, f"twice: {twice}"
        return "; ".join(sorted(places))

    def said(self, person: Person, *words: str) -> str:
        """What one person was told, with where."""
        found = []
        for _, message in self.messages(""):
            alone = person.id in (message.only_for, message.channel.person)
            text = " ".join(self.render(message).replace("(only visible to you)", "").split())
            if alone and any(word in text for word in words):
                place = "direct message" if message.channel.is_im else "to them alone"
                found.append(f"{place}: “{text}”")
        assert len(found) == len(set(found)), found
        return "; ".join(found)


Play = Callable[[Scene], Awaitable[Look]]


@dataclass(frozen=True)
class Point:
    """Something that the bot does in Slack. `play` does it, and returns what tells how it is seen."""

    what: str
    method: str
    play: Play
    only: tuple[str, ...] = ()

    @property
    def lasts(self) -> bool:
        """Whether what is seen of it stays as it is: messages that say which scene they are of."""
        return self.play in (_proposal, _proposal_decided, _run, _summary, _alert, _question_of_mparticle, _answer)

    @property
    def faults(self) -> tuple[str, ...]:
        """How Slack may answer here."""
        invalid = "invalid_blocks" if self.method.startswith("chat.") else "invalid_arguments"
        return self.only or (*PASSING, *REFUSALS, invalid)


# -- messages that follow something ---------------------------------------------------------------


async def _proposal(scene: Scene) -> Look:
    scene.strike(MARKETING)
    await scene.mapping(active=False)
    await scene.struck()
    return lambda: scene.seen("proposes a mapping")


async def _proposal_decided(scene: Scene) -> Look:
    mapping = await scene.mapping(active=False)
    await scene.here.slack.wait_for(lambda: scene.seen("proposes a mapping"), LONG)
    scene.strike(MARKETING)
    await mapping_lifecycle.decide_proposal(
        scene.here.engine, mapping.id, MappingStatus.DECLINED, by=AMIR, comment=None, team_id=TEAM
    )
    scene.here.services.wake()
    await scene.struck()
    return lambda: scene.seen("Declined by")


async def _run(scene: Scene) -> Look:
    mapping = await scene.mapping()
    scene.strike(MARKETING)
    async with scene.held():
        await scene.start(mapping)
        await scene.struck()
        await scene.settled(f"run:{scene.run_id}")
    await scene.ended()
    return lambda: scene.seen("*Synced")


async def _summary(scene: Scene) -> Look:
    mapping = await scene.mapping()
    async with scene.held():
        await scene.start(mapping)
        await scene.settled(f"run:{scene.run_id}")
        scene.strike(MARKETING, f"Synced {scene.name}")
    await scene.ended()
    await scene.struck()
    return lambda: scene.seen("*Synced")


async def _decision(scene: Scene) -> Look:
    mapping = await scene.mapping(active=False)
    await scene.start(mapping)
    await scene.here.slack.wait_for(lambda: scene.messages("can decide") or scene.messages("approve"), LONG)
    await scene.settled(f"run:{scene.run_id}:ask")
    scene.strike(MARKETING)
    assert await decide(scene.here.engine, scene.run_id, by=AMIR, team_id=TEAM) is Decision.RECORDED
    scene.here.services.wake()
    await scene.ended()
    await scene.struck()
    return lambda: "; ".join(each for each in (scene.seen("*Synced"), scene.seen("approved this sync", "")) if each)


async def _alert(scene: Scene) -> Look:
    mapping = await scene.mapping()
    scene.strike(ALERTS)
    await scene.start(mapping, path="/nowhere/audience.csv")
    await scene.ended(RunStatus.FAILED)
    await scene.struck()
    return lambda: scene.seen("*Failing:")


async def _alert_over(scene: Scene) -> Look:
    mapping = await scene.mapping()
    await scene.start(mapping, path="/nowhere/audience.csv")
    await scene.ended(RunStatus.FAILED)
    await scene.here.slack.wait_for(lambda: scene.seen("*Failing:").count(";") == 1, LONG)
    scene.strike(ALERTS)
    await scene.start(mapping)
    await scene.ended()
    await scene.struck()
    return lambda: scene.seen("*Works again:")


async def _question_of_mparticle(scene: Scene) -> Look:
    scene.strike(ALERTS)
    await scene.here.mparticle.connect(Audience(9000 + scene.number, scene.name))
    await scene.struck()
    return lambda: scene.seen("proposes a mapping")


# -- answers --------------------------------------------------------------------------------------


async def _answer(scene: Scene) -> Look:
    scene.strike(MARKETING)
    assert (await scene.here.slack.marketer.command(f"/iterable-sync pause {scene.name}")).ok
    await scene.struck()
    return lambda: scene.seen("There is no mapping")


async def _answer_in_person(scene: Scene) -> Look:
    scene.here.slack.marketer.views.clear()
    scene.strike(MAYA)
    assert (await scene.here.slack.marketer.command(f"/iterable-sync pause {scene.name}", "general")).ok
    await scene.struck()
    maya = scene.here.slack.marketer

    def look() -> str:
        shown = [scene.seen("There is no mapping"), scene.said(maya, "did not confirm")]
        if any("There is no mapping" in scene.render(view) for view in maya.views):
            shown.append("a window")
        return "; ".join(each for each in shown if each)

    return look


async def _window(scene: Scene) -> Look:
    await scene.mapping()
    maya = scene.here.slack.marketer
    maya.views.clear()
    scene.strike()
    assert (await maya.command(f"/iterable-sync run {scene.name}")).ok
    await scene.struck()

    def look() -> str:
        opened = ["the window"] if maya.views else []
        return "; ".join(each for each in (*opened, scene.said(maya, "window")) if each)

    return look


async def _outcome_of_a_form(scene: Scene) -> Look:
    mapping = await scene.mapping()
    await scene.start(mapping)
    await scene.ended()
    undone, maya = scene.run_id, scene.here.slack.marketer
    await maya.command(f"/iterable-sync undo {undone}")
    view = await maya.open_view(UndoCallback.UNDO)
    scene.strike()
    await maya.submit(view)
    await scene.struck()

    def look() -> str:
        shown = [each.title for each in maya.views if "on its way" in each.title]
        said = "told" if scene.messages("works out what taking run") else ""
        return "; ".join(each for each in ("in the window" if shown else "", said and _where(scene)) if each)

    return look


def _where(scene: Scene) -> str:
    return "; ".join(where for where, _ in scene.messages("works out what taking run"))


async def _outcome_of_a_button(scene: Scene) -> Look:
    await scene.mapping(active=False)
    await scene.here.slack.wait_for(lambda: scene.seen("proposes a mapping"), LONG)
    amir = scene.here.slack.approver
    amir.views.clear()
    (_, card), *_ = scene.messages("proposes a mapping")
    await amir.click(card, MappingAction.REVIEW)
    view = await amir.open_view(MappingCallback.REVIEW)
    scene.strike()
    await amir.click(view, MappingAction.DECLINE)
    await scene.struck()

    def look() -> str:
        shown = "in the window" if any("is declined" in scene.render(each) for each in amir.views) else ""
        return "; ".join(each for each in (shown, scene.seen("is declined")) if each)

    return look


# -- the home page, and who is an admin -----------------------------------------------------------


async def _home(scene: Scene) -> Look:
    await scene.mapping()
    maya = scene.here.slack.marketer
    scene.here.services.viewers._looking.clear()
    maya.user.home = None
    scene.strike()
    await maya.say("opens the home page", "dm")
    task = asyncio.create_task(maya.open_home(LONG))
    await scene.struck()
    again = ""
    if scene.fault not in PASSING:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        scene.over()
        again = ", when it is opened again"
        task = asyncio.create_task(maya.open_home(LONG))
    await task

    def look() -> str:
        return f"the page{again}" if maya.user.home and "AUDIENCE" in scene.render(maya.user.home) else ""

    return look


async def _admin(scene: Scene) -> Look:
    ada = scene.here.slack.admin
    ada.views.clear()
    scene.here.services.viewers._looking.clear()  # for them Slack is asked, too
    scene.here.services.people._known.clear()
    scene.strike()
    assert (await ada.command("/iterable-sync connect")).ok
    await scene.struck()

    def look() -> str:
        opened = ["the window"] if any(each.callback_id == ConnectCallback.CONNECT for each in ada.views) else []
        return "; ".join(each for each in (*opened, scene.said(ada, "Slack does not say")) if each)

    return look


async def _admin_at_home(scene: Scene) -> Look:
    await scene.mapping()
    ada = scene.here.slack.admin
    scene.here.services.viewers._looking.clear()
    scene.here.services.people._known.clear()
    ada.user.home = None
    scene.strike()
    await ada.open_home(LONG)
    await scene.struck()

    def look() -> str:
        page = scene.render(ada.user.home) if ada.user.home else ""
        if "Slack does not say" in page:
            return "a page that says to try again"
        if "AUDIENCE" not in page:
            return ""
        return "the page" if "[Connect a project]" in page else "the page, without what only admins may do"

    return look


# -- files ----------------------------------------------------------------------------------------


async def _submitted(scene: Scene, values: dict[str, Any]) -> None:
    """Maya starts a sync by its form."""
    maya = scene.here.slack.marketer
    maya.views.clear()
    await maya.command(f"/iterable-sync run {scene.name}")
    view = await maya.open_view(RunCallback.START, LONG)
    await maya.fill(view, values)
    assert (await maya.submit(view)).ok


async def _of_this_scene(scene: Scene) -> None:
    """Wait until the form has become a run."""
    async with asyncio.timeout(LONG):
        while (run := await scene.here.latest_run()).audience != scene.name:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    scene.run_id = run.id


async def _fetched(scene: Scene) -> Look:
    await scene.mapping()
    maya = scene.here.slack.marketer
    scene.strike()
    await _submitted(scene, {RunBlock.FILE: maya.file("a.csv", scene.file())})
    await _of_this_scene(scene)
    await scene.struck()
    if scene.fault in PASSING:
        await scene.ended()
        return lambda: scene.seen("*Synced")
    await scene.ended(RunStatus.FAILED)
    await scene.here.slack.wait_for(lambda: "#marketing" in scene.seen("failed*"), LONG)
    said = next(each for each in _lines(scene, "failed*") if "Slack" in each)
    scene.over()
    message = next(each for where, each in scene.messages("failed*") if where == "#marketing")
    await maya.click(message, RunAction.RETRY)
    async with asyncio.timeout(LONG):
        while (await scene.here.run(scene.run_id)).status is not RunStatus.SUCCEEDED:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    await scene.ended()
    return lambda: f"“{said}”; *Retry* then: {scene.seen('*Synced')}" if scene.seen("*Synced") else ""


def _lines(scene: Scene, marker: str) -> list[str]:
    return [line for _, message in scene.messages(marker) for line in scene.render(message).splitlines()]


async def _linked(scene: Scene) -> Look:
    await scene.mapping()
    maya = scene.here.slack.marketer
    message = await maya.upload_file("marketing", "a.csv", scene.file())
    fault = scene.strike()
    fault.count = 1
    await _submitted(scene, {RunBlock.LINK: message.files[0].id})
    await scene.struck()
    await _of_this_scene(scene)
    await scene.ended()
    return lambda: scene.seen("*Synced")


async def _rejected(scene: Scene, channel: str | None = None) -> Look:
    mapping = await scene.mapping()
    await scene.start(mapping, more=(Member(10 * scene.number + 5),))
    await scene.ended()
    await scene.here.slack.wait_for(lambda: scene.seen("*Synced") == "#marketing", LONG)
    (_, message), *_ = scene.messages("*Synced")
    maya = scene.here.slack.marketer
    scene.strike(channel)
    await maya.click(message, RunAction.REJECTED)
    await scene.struck()

    def look() -> str:
        sent = [where for where, each in scene.messages("") if any(scene.run_id in file.name for file in each.files)]
        assert len(sent) <= 1
        told = scene.said(maya, "the file with the rejected")
        return "; ".join(each for each in (*[f"the file, in {where}" for where in sent], told) if each)

    return look


async def _rejected_in_person(scene: Scene) -> Look:
    return await _rejected(scene, MAYA)


POINTS = (
    Point("a mapping that is proposed", "chat.postMessage", _proposal),
    Point("how it was decided", "chat.update", _proposal_decided),
    Point("a run, from its beginning", "chat.postMessage", _run),
    Point("its summary", "chat.update", _summary),
    Point("who approved it", "chat.postMessage", _decision),
    Point("an alert", "chat.postMessage", _alert),
    Point("that it works again", "chat.update", _alert_over),
    Point("what mParticle asks", "chat.postMessage", _question_of_mparticle),
    Point("the answer to a command", "chat.postEphemeral", _answer),
    Point("the answer where the app is not in the channel", "chat.postMessage", _answer_in_person),
    Point("a window", "views.open", _window),
    Point("what came of a form", "views.update", _outcome_of_a_form),
    Point("what came of a button in a window", "views.update", _outcome_of_a_button),
    Point("the home page", "views.publish", _home),
    Point("whether somebody is an admin", "users.info", _admin),
    Point("whether who looks at the home page is an admin", "users.info", _admin_at_home),
    Point("the audience's file", "files.info", _fetched),
    Point("the bytes of the audience's file", "download", _fetched, OF_BYTES),
    Point("whether there is a file of that link", "files.info", _linked),
    Point("the summary above the rejected members", "chat.postMessage", _rejected_in_person),
    Point("where the file of rejected members goes", "files.getUploadURLExternal", _rejected),
    Point("the bytes of the file of rejected members", "upload", _rejected, OF_BYTES),
    Point("the file of rejected members", "files.completeUploadExternal", _rejected),
)


HEADING = "## Slack"
HEADER = """\
| the bot shows, or asks for | by | Slack answers | what is seen |
|---|---|---|---|"""


def rows(point: Point, seen: Mapping[str, str]) -> list[str]:
    """The rows of a point: the answers with which the same is seen come together."""
    alike: dict[str, list[str]] = {}
    for fault, what in seen.items():
        alike.setdefault(what, []).append(fault)
    return [f"| {point.what} | {point.method} | {', '.join(faults)} | {what} |" for what, faults in alike.items()]


def read(page: str) -> dict[tuple[str, str], str]:
    """What is seen at each point with each answer, as the page says."""
    found: dict[tuple[str, str], str] = {}
    for line in page.partition(f"\n{HEADING}\n")[2].splitlines():
        if line.startswith("| ") and not line.startswith("| the bot"):
            what, _, faults, seen = line.removeprefix("| ").removesuffix(" |").split(" | ")
            found |= {(what, fault): seen for fault in faults.split(", ")}
    return found


# -- the stage ------------------------------------------------------------------------------------


class Stage:
    """The bot that plays the scenes of a point."""

    def __init__(self, here: Fed, connection: Connection) -> None:
        """Take the bot and the connection that it has."""
        self.here = here
        self.connection = connection
        self._number = 0
        self._looks: list[tuple[str, Look, str]] = []

    def scene(self, method: str, fault: str) -> Scene:
        """A new scene."""
        self._number += 1
        since = self.here.slack.world.new_ts()
        return Scene(self.here, self.connection, self._number, fault, method, since)

    def note(self, point: Point, look: Look, seen: str) -> None:
        """Remember what is seen of a scene."""
        if point.lasts:
            self._looks.append((point.what, look, seen))

    def check(self) -> None:
        """What was seen at the end of each scene is still all that there is: nothing came twice later."""
        assert [(what, look()) for what, look, _ in self._looks] == [(what, seen) for what, _, seen in self._looks]


@asynccontextmanager
async def stage(directory: Path) -> AsyncIterator[Stage]:
    """A bot that waits for moments only, and looks at home pages often."""
    quick = {
        (clients, "TIMEOUT_S"): 1.5,
        (reply, "BACK_OFF_S"): 0.05,
        (admins, "FRESH_S"): -1.0,
        (publisher, "LOOK_EVERY_S"): 0.05,
        (publisher, "APART_S"): 0.1,
        (file_source, "WAITS_S"): (0.05, 0.05),
        (file_source, "SILENCE_S"): 1.5,
        (rejected_file, "WAITS_S"): (0.05, 0.05),
        (rejected_file, "SILENCE_S"): 1.5,
    }
    with pytest.MonkeyPatch.context() as patch:
        for (module, constant), value in quick.items():
            patch.setattr(module, constant, value)
        async with fed(directory, UNHURRIED) as here:
            made = Stage(here, await here.connection())
            await made.scene("", "429").mapping()  # where nothing is mapped, answers are others
            yield made
            made.check()


async def observe(stage: Stage, point: Point, fault: str, expected: str | None = None) -> str:
    """Play a scene; return what is seen in the end (or wait for what is expected)."""
    scene = stage.scene(point.method, fault)
    slack = scene.here.slack
    try:
        look = await point.play(scene)
        if expected is None:
            await asyncio.sleep(2.0)
        else:
            try:
                await slack.wait_for(lambda: look() == expected, LONG)
            except TimeoutError:
                assert look() == expected, (point.what, fault, look(), expected)
        seen = look()
        stage.note(point, look, seen)
        return seen
    finally:
        scene.over()
