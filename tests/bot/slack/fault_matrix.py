"""Each answer of Slack to each call of the bot: what people see, and that the sync succeeds.

A point is an output or a request of the bot, at its place in the story. A scene plays a point while Slack gives one
kind of answer, and then compares what people see. One bot plays all scenes, one after the other.
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
from core.connections import mapping_lifecycle
from core.iterable import IterableList
from core.models.run import RunRequest, RunStatus
from core.runs import commands
from core.store import lists, mappings, slack_messages
from core.store.connections import Connection
from core.store.mappings import AudienceMapping, MappingStatus, RemovalPolicy
from sandbox.mparticle import Audience
from sandbox.slack.faults import LOST_ANSWER, NO_ANSWER, RATE_LIMITED, SERVER_ERROR, Fault
from sandbox.slack.users.user_driver import Person
from sandbox.slack.workspace.models import Message, User, View
from tests.bot.slack.following import LONG, open_options
from tests.bot.slack.harness import ALERTS, AMIR, BRISK, MARKETING, MAYA, TEAM, audience
from tests.bot.slack.live import Fed, fed
from tests.core.harness import Decision, Member, decide
from tests.core.harness import people as members

#: The answers of Slack. Transient faults strike once; refusals last as long as the scene.
PASSING: Mapping[str, dict[str, Any]] = {
    "429": {"kind": RATE_LIMITED, "count": 1},
    "5xx": {"kind": SERVER_ERROR, "status": 503, "count": 1},
    "no answer": {"kind": NO_ANSWER, "count": 1},
    "answer lost": {"kind": LOST_ANSWER, "count": 1},
}
REFUSALS = ("channel_not_found", "not_in_channel", "is_archived", "msg_too_long")
# Slack has different error codes for the blocks of messages and for those of modals and pages.
FAULTS: Mapping[str, dict[str, Any]] = {
    **PASSING,
    **{word: {"kind": word} for word in (*REFUSALS, "invalid_blocks", "invalid_arguments")},
}
#: Uploads and downloads fail without an error code.
OF_BYTES = tuple(PASSING)
#: Changes are shown at once; without a signal, the reconciler polls less often than in other tests.
UNHURRIED = replace(BRISK, look=0.25, least_look=0.05)
# Slack refuses the blocks with these errors, and accepts plain text.
_ABOUT_BLOCKS = ("invalid_blocks", "msg_too_long")

Look = Callable[[], str]


@dataclass
class Scene:
    """One fault at one point, with its own audience and list."""

    bot: Fed
    connection: Connection
    number: int
    fault: str
    method: str
    since: str
    active: Fault | None = None
    run_id: str = ""
    size: int = 0
    list_id: int = 0
    new_admin: Person | None = None

    @property
    def name(self) -> str:
        """The name of this scene's audience."""
        return f"Audience{self.number:03d}"

    # -- actions ----------------------------------------------------------------------------------

    def strike(self, channel: str | None = None, text: str | None = None) -> Fault:
        """Let Slack give this scene's answer from now on, to all messages or only to those with a text.

        Edits of another scene's messages, which may come late, succeed.
        """
        options = dict(FAULTS[self.fault])
        if self.method == "chat.update":
            options["text"] = text or self.name
        if self.fault in _ABOUT_BLOCKS and self.method.startswith("chat."):
            options["count"] = 1
        self.active = self.bot.slack.faults.add(options.pop("kind"), self.method, channel=channel, **options)
        return self.active

    async def wait_until_struck(self) -> None:
        """Wait until Slack has given the answer."""
        assert self.active is not None
        fault = self.active
        await self.bot.slack.wait_for(lambda: fault.struck, LONG, f"{self.fault} of {self.method}")

    def restore_slack(self) -> None:
        """Let Slack answer normally again."""
        self.bot.slack.faults.clear()

    async def mapping(self, *, active: bool = True) -> AudienceMapping:
        """Create a list and propose a mapping to it; approve the mapping if `active`."""
        new_list = self.bot.iterable.state.add_list(f"List {self.number:03d}")
        self.list_id = new_list.id
        target = IterableList(new_list.id, new_list.name, "Standard")
        mapping = await mapping_lifecycle.propose(
            self.bot.engine,
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
            async with self.bot.engine.database.write() as db:
                await mappings.decide(db, mapping.id, MappingStatus.ACTIVE, by=AMIR, comment=None)
        return mapping

    def file(self, more: tuple[Member, ...] = ()) -> bytes:
        """Return the audience as a file: three members, and `more`."""
        numbers = range(10 * self.number, 10 * self.number + 3)
        self.size = len(numbers)
        return audience([*members(numbers), *more])

    async def start(self, mapping: AudienceMapping, *, more: tuple[Member, ...] = (), path: str = "") -> str:
        """Start a run as Maya, and return its id."""
        folder = self.bot.engine.settings.data_dir
        file = folder / f"{self.name}.csv"
        file.write_bytes(self.file(more))
        request = RunRequest(path=path or str(file))
        self.run_id = await commands.start(self.bot.engine, mapping, request, by=MAYA, channel=MARKETING, team_id=TEAM)
        self.bot.services.wake()
        return self.run_id

    @asynccontextmanager
    async def hold_list(self) -> AsyncIterator[None]:
        """Lock this scene's list for the length of the block, so that its runs wait."""
        worker = self.bot.engine.presence.id
        async with self.bot.engine.database.write() as db:
            if await lists.get(db, self.connection.id, self.list_id) is None:
                await lists.add(db, self.connection.id, self.list_id, f"List {self.number:03d}", None)
            assert await lists.acquire(db, self.connection.id, self.list_id, "another", worker)
        try:
            yield
        finally:
            async with self.bot.engine.database.write() as db:
                await lists.release(db, self.connection.id, self.list_id, worker)

    async def wait_until_posted(self, key: str) -> None:
        """Wait until the result of posting a message is known."""
        async with asyncio.timeout(LONG):
            while True:
                async with self.bot.engine.database.read() as db:
                    post = await slack_messages.get(db, key)
                if post is not None and post.status not in (
                    slack_messages.MessageStatus.NEW,
                    slack_messages.MessageStatus.SENDING,
                ):
                    return
                await asyncio.sleep(0.05)

    async def wait_for_end(self, status: RunStatus = RunStatus.SUCCEEDED) -> None:
        """Wait until the run has ended with this status. After a success, the list is equal to the audience."""
        async with asyncio.timeout(LONG):
            while (run := await self.bot.run(self.run_id)).status.is_active:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert run.status is status, run.error
        if status is RunStatus.SUCCEEDED:
            expected = {f"p{number}@example.com" for number in range(10 * self.number, 10 * self.number + self.size)}
            assert self.bot.emails(self.list_id) == expected

    # -- observations -----------------------------------------------------------------------------

    def messages(self, marker: str) -> list[tuple[str, Message]]:
        """Return the bot's messages of this scene that contain a text, each with its place."""
        messages = []
        slack = self.bot.slack
        channels = [slack.channel(MARKETING), slack.channel(ALERTS), slack.channel("general")]
        readers = [slack.marketer, slack.approver, slack.admin, *([self.new_admin] if self.new_admin else [])]
        for channel in channels:
            for message in channel.messages:
                person = next((each for each in readers if each.id == message.only_for), None)
                place = f"#{channel.name}" if not message.only_for else f"#{channel.name}, to one person only"
                if message.thread_ts:
                    place = f"a thread of #{channel.name}"
                if person is not None or not message.only_for:
                    messages.append((place, message))
        for person in readers:
            messages += [(f"a direct message to {person.user.name}", each) for each in person.direct_message.messages]
        return [
            (place, message)
            for place, message in messages
            if message.bot_id and message.ts > self.since and marker in self.render(message)
        ]

    def render(self, message: Message | View) -> str:
        """Return the text that a person reads, without names and ids that differ between scenes."""
        text = self.bot.slack.render(message)
        for value, placeholder in (
            (self.name, "AUDIENCE"),
            (self.run_id or "\0", "RUN"),
            (f"List {self.number:03d}", "LIST"),
        ):
            text = text.replace(value, placeholder)
        return re.sub(rf"\({self.list_id}\)|\b{self.list_id or 'none'}\b", "", text)

    def seen(self, marker: str, of: str = "AUDIENCE") -> str:
        """Return the places of the messages that contain a text, each with the reason that it gives."""
        places = []
        for place, message in self.messages(marker):
            if not re.search(rf"\b{of}\b", self.render(message)):  # as a word: a setting has AUDIENCE in its name
                continue
            shape = "" if message.blocks else ", as plain text"
            reason = re.search(r"You get this here because[^\n]*?\.(?= Whatever| Invite|$|\n)", self.render(message))
            places.append(f"{place}{shape}" + (f" (“{reason[0]}”)" if reason else ""))
        repeated = {each for each in places if places.count(each) > 1}
        assert not repeated, f"shown twice: {repeated}"
        return "; ".join(sorted(places))

    def read_in_person(self, person: Person, *words: str) -> str:
        """Return the messages with one of these words that only this person reads, with their places."""
        replies = []
        for _, message in self.messages(""):
            is_private = person.id in (message.only_for, message.channel.person)
            text = " ".join(self.render(message).replace("(only visible to you)", "").split())
            if is_private and any(word in text for word in words):
                place = "direct message" if message.channel.is_im else "to them only"
                replies.append(f"{place}: “{text}”")
        assert len(replies) == len(set(replies)), replies
        return "; ".join(replies)


Play = Callable[[Scene], Awaitable[Look]]


@dataclass(frozen=True)
class Point:
    """An output or a request of the bot. `play` causes it, and returns a function that describes what people see."""

    name: str
    method: str
    play: Play
    only: tuple[str, ...] = ()

    @property
    def lasts(self) -> bool:
        """Whether the result stays visible: messages that contain the name of their scene."""
        return self.play in (_proposal, _proposal_decided, _run, _summary, _alert, _proposal_of_mparticle, _answer)

    @property
    def faults(self) -> tuple[str, ...]:
        """The answers of Slack that are tested at this point."""
        invalid = "invalid_blocks" if self.method.startswith("chat.") else "invalid_arguments"
        return self.only or (*PASSING, *REFUSALS, invalid)


# -- messages that follow a state ------------------------------------------------------------------


async def _proposal(scene: Scene) -> Look:
    scene.strike(MARKETING)
    await scene.mapping(active=False)
    await scene.wait_until_struck()
    return lambda: scene.seen("Approval needed: new mapping")


async def _proposal_decided(scene: Scene) -> Look:
    mapping = await scene.mapping(active=False)
    await scene.bot.slack.wait_for(lambda: scene.seen("Approval needed: new mapping"), LONG)
    scene.strike(MARKETING)
    await mapping_lifecycle.decide_proposal(
        scene.bot.engine, mapping.id, MappingStatus.DECLINED, by=AMIR, comment=None, team_id=TEAM
    )
    scene.bot.services.wake()
    await scene.wait_until_struck()
    return lambda: scene.seen("Declined by")


async def _run(scene: Scene) -> Look:
    mapping = await scene.mapping()
    scene.strike(MARKETING)
    async with scene.hold_list():
        await scene.start(mapping)
        await scene.wait_until_struck()
        await scene.wait_until_posted(f"run:{scene.run_id}")
    await scene.wait_for_end()
    return lambda: scene.seen("Synced")


async def _summary(scene: Scene) -> Look:
    mapping = await scene.mapping()
    async with scene.hold_list():
        await scene.start(mapping)
        await scene.wait_until_posted(f"run:{scene.run_id}")
        scene.strike(MARKETING, f"Synced {scene.name}")
    await scene.wait_for_end()
    await scene.wait_until_struck()
    return lambda: scene.seen("Synced")


async def _decision(scene: Scene) -> Look:
    mapping = await scene.mapping(active=False)
    await scene.start(mapping)
    await scene.bot.slack.wait_for(lambda: scene.messages("Approval needed"), LONG)
    await scene.wait_until_posted(f"run:{scene.run_id}:ask")
    scene.strike(MARKETING)
    assert await decide(scene.bot.engine, scene.run_id, by=AMIR, team_id=TEAM) is Decision.RECORDED
    scene.bot.services.wake()
    await scene.wait_for_end()
    await scene.wait_until_struck()
    return lambda: "; ".join(each for each in (scene.seen("Synced"), scene.seen("approved this sync", "")) if each)


async def _alert(scene: Scene) -> Look:
    mapping = await scene.mapping()
    scene.strike(ALERTS)
    await scene.start(mapping, path="/nowhere/audience.csv")
    await scene.wait_for_end(RunStatus.FAILED)
    await scene.wait_until_struck()
    return lambda: scene.seen("*Sync failing:")


async def _alert_recovery(scene: Scene) -> Look:
    mapping = await scene.mapping()
    await scene.start(mapping, path="/nowhere/audience.csv")
    await scene.wait_for_end(RunStatus.FAILED)
    await scene.bot.slack.wait_for(lambda: scene.seen("*Sync failing:").count(";") == 1, LONG)

    def has_links() -> bool:
        return all("/archives/" in str(message.blocks) for _, message in scene.messages("*Sync failing:"))

    await scene.bot.slack.wait_for(has_links, LONG)  # the alerts are edited when the run's message is posted
    scene.strike(ALERTS)
    await scene.start(mapping)
    await scene.wait_for_end()
    await scene.wait_until_struck()
    return lambda: scene.seen("*Recovered:")


async def _proposal_of_mparticle(scene: Scene) -> Look:
    scene.strike(ALERTS)
    await scene.bot.mparticle.connect(Audience(9000 + scene.number, scene.name))
    await scene.wait_until_struck()
    return lambda: scene.seen("New live audience from mParticle")


# -- answers --------------------------------------------------------------------------------------


async def _answer(scene: Scene) -> Look:
    scene.strike(MARKETING)
    assert (await scene.bot.slack.marketer.command(f"/iterable-sync pause {scene.name}")).ok
    await scene.wait_until_struck()
    return lambda: scene.seen("There is no mapping")


async def _answer_in_person(scene: Scene) -> Look:
    scene.bot.slack.marketer.views.clear()
    scene.strike(MAYA)
    assert (await scene.bot.slack.marketer.command(f"/iterable-sync pause {scene.name}", "general")).ok
    await scene.wait_until_struck()
    maya = scene.bot.slack.marketer

    def look() -> str:
        shown = [scene.seen("There is no mapping"), scene.read_in_person(maya, "did not confirm")]
        if any("There is no mapping" in scene.render(view) for view in maya.views):
            shown.append("a modal")
        return "; ".join(each for each in shown if each)

    return look


async def _modal(scene: Scene) -> Look:
    await scene.mapping()
    maya = scene.bot.slack.marketer
    maya.views.clear()
    scene.strike()
    assert (await maya.command(f"/iterable-sync run {scene.name}")).ok
    await scene.wait_until_struck()

    def look() -> str:
        modals = ["the modal"] if maya.views else []
        return "; ".join(each for each in (*modals, scene.read_in_person(maya, "window")) if each)

    return look


async def _result_of_a_form(scene: Scene) -> Look:
    mapping = await scene.mapping()
    await scene.start(mapping)
    await scene.wait_for_end()
    undone, maya = scene.run_id, scene.bot.slack.marketer
    await maya.command(f"/iterable-sync undo {undone}")
    view = await maya.open_view(UndoCallback.UNDO)
    scene.strike()
    await maya.submit(view)
    await scene.wait_until_struck()

    def look() -> str:
        shown = [each.title for each in maya.views if "Preparing undo" in each.title]
        return "; ".join(each for each in ("in the modal" if shown else "", _places_of_undo(scene)) if each)

    return look


def _places_of_undo(scene: Scene) -> str:
    return "; ".join(place for place, _ in scene.messages("prepares the undo of run"))


async def _result_of_a_button(scene: Scene) -> Look:
    await scene.mapping(active=False)
    await scene.bot.slack.wait_for(lambda: scene.seen("Approval needed: new mapping"), LONG)
    amir = scene.bot.slack.approver
    amir.views.clear()
    (_, card), *_ = scene.messages("Approval needed: new mapping")
    await amir.click(card, MappingAction.REVIEW)
    view = await amir.open_view(MappingCallback.REVIEW)
    scene.strike()
    await amir.click(view, MappingAction.DECLINE)
    await scene.wait_until_struck()

    def look() -> str:
        shown = "in the modal" if any("was declined" in scene.render(each) for each in amir.views) else ""
        return "; ".join(each for each in (shown, scene.seen("was declined")) if each)

    return look


# -- the home page and admins ---------------------------------------------------------------------


async def _home(scene: Scene) -> Look:
    await scene.mapping()
    maya = scene.bot.slack.marketer
    scene.bot.services.viewers._looking.clear()
    maya.user.home = None
    scene.strike()
    await maya.say("opens the home page", "dm")
    task = asyncio.create_task(maya.open_home(LONG))
    await scene.wait_until_struck()
    again = ""
    if scene.fault not in PASSING:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        scene.restore_slack()
        again = ", when it is opened again"
        task = asyncio.create_task(maya.open_home(LONG))
    await task

    def look() -> str:
        return f"the page{again}" if maya.user.home and "AUDIENCE" in scene.render(maya.user.home) else ""

    return look


def _add_admin(scene: Scene) -> Person:
    """Add an admin: the bot has not asked Slack about them, nor is asking, as a late answer would be remembered."""
    world = scene.bot.slack.world
    name = f"admin{scene.number:03d}"
    user = User(f"U01{name.upper()}", scene.bot.slack.admin.user.team_id, name, "New admin", is_admin=True)
    world.users[user.id] = user
    for channel in world.channels.values():
        if scene.bot.slack.admin.id in channel.members:
            channel.members.add(user.id)
    world.direct_message(user)
    scene.new_admin = scene.bot.slack.person(name)
    return scene.new_admin


async def _admin(scene: Scene) -> Look:
    ada = _add_admin(scene)
    scene.bot.services.viewers._looking.clear()  # Slack is also asked about the viewers of the home page
    scene.strike()
    assert (await ada.command("/iterable-sync connect")).ok
    await scene.wait_until_struck()

    def look() -> str:
        modals = ["the modal"] if any(each.callback_id == ConnectCallback.CONNECT for each in ada.views) else []
        return "; ".join(each for each in (*modals, scene.read_in_person(ada, "Slack does not say")) if each)

    return look


async def _groups(scene: Scene) -> Look:
    ada = _add_admin(scene)
    scene.bot.services.groups._known.clear()
    scene.strike()
    assert (await ada.command("/iterable-sync connect")).ok
    await scene.wait_until_struck()

    def look() -> str:
        forms = [each for each in ada.views if each.callback_id == ConnectCallback.CONNECT]
        if not forms:
            return ""
        return "the modal" if "user groups" in scene.render(forms[0]) else "the modal, without user groups"

    return look


async def _admin_at_home(scene: Scene) -> Look:
    await scene.mapping()
    ada = _add_admin(scene)
    scene.bot.services.viewers._looking.clear()
    scene.strike()
    await ada.open_home(LONG)
    await scene.wait_until_struck()

    def look() -> str:
        page = scene.render(ada.user.home) if ada.user.home else ""
        if "Slack does not say" in page:
            return "a page that says to try again"
        if "AUDIENCE" not in page:
            return ""
        return "the page" if "[Connect a project]" in page else "the page, without what only admins may do"

    return look


# -- files ----------------------------------------------------------------------------------------


async def _submit_form(scene: Scene, values: dict[str, Any]) -> None:
    """Maya starts a sync with the form."""
    maya = scene.bot.slack.marketer
    maya.views.clear()
    await maya.command(f"/iterable-sync run {scene.name}")
    view = await maya.open_view(RunCallback.START, LONG)
    if RunBlock.LINK in values:
        await open_options(maya, view)
    await maya.fill(view, values)
    assert (await maya.submit(view)).ok


async def _wait_for_run(scene: Scene) -> None:
    """Wait until the form has become a run of this scene."""
    async with asyncio.timeout(LONG):
        while (run := await scene.bot.latest_run()).audience != scene.name:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    scene.run_id = run.id


async def _fetched(scene: Scene) -> Look:
    await scene.mapping()
    maya = scene.bot.slack.marketer
    scene.strike()
    await _submit_form(scene, {RunBlock.FILE: maya.file("a.csv", scene.file())})
    await _wait_for_run(scene)
    await scene.wait_until_struck()
    if scene.fault in PASSING:
        await scene.wait_for_end()
        return lambda: scene.seen("Synced")
    await scene.wait_for_end(RunStatus.FAILED)
    await scene.bot.slack.wait_for(lambda: "#marketing" in scene.seen("Sync failed"), LONG)
    sentence = next(each for each in _lines(scene, "Sync failed") if "Slack" in each)
    scene.restore_slack()
    message = next(each for place, each in scene.messages("Sync failed") if place == "#marketing")
    await maya.click(message, RunAction.RETRY)
    async with asyncio.timeout(LONG):
        while (await scene.bot.run(scene.run_id)).status is not RunStatus.SUCCEEDED:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    await scene.wait_for_end()
    return lambda: f"“{sentence}”; *Retry* then: {scene.seen('Synced')}" if scene.seen("Synced") else ""


def _lines(scene: Scene, marker: str) -> list[str]:
    return [line for _, message in scene.messages(marker) for line in scene.render(message).splitlines()]


async def _linked(scene: Scene) -> Look:
    await scene.mapping()
    maya = scene.bot.slack.marketer
    message = await maya.upload_file("marketing", "a.csv", scene.file())
    fault = scene.strike()
    fault.count = 1
    await _submit_form(scene, {RunBlock.LINK: message.files[0].id})
    await scene.wait_until_struck()
    await _wait_for_run(scene)
    await scene.wait_for_end()
    return lambda: scene.seen("Synced")


async def _rejected(scene: Scene, channel: str | None = None) -> Look:
    mapping = await scene.mapping()
    await scene.start(mapping, more=(Member(10 * scene.number + 5),))
    await scene.wait_for_end()
    await scene.bot.slack.wait_for(lambda: scene.seen("Synced") == "#marketing", LONG)
    (_, message), *_ = scene.messages("Synced")
    maya = scene.bot.slack.marketer
    maya.views.clear()
    await maya.click(message, RunAction.SEE_WHY)
    reasons = await scene.bot.slack.wait_for(lambda: maya.views and maya.views[-1], LONG)
    scene.strike(channel)
    assert isinstance(reasons, View)
    await maya.click(reasons, RunAction.REJECTED)
    await scene.wait_until_struck()

    def look() -> str:
        sent = [place for place, each in scene.messages("") if any(scene.run_id in file.name for file in each.files)]
        assert len(sent) <= 1
        shown = [f"the file, in {place}" for place in sent]
        texts = [" ".join(scene.render(view).splitlines()[1:-1]) for view in maya.views]
        shown += [f"in the modal: “{text}”" for text in texts if "the file of run" in text]
        return "; ".join(each for each in (*shown, scene.read_in_person(maya, "the file of run")) if each)

    return look


async def _rejected_in_person(scene: Scene) -> Look:
    return await _rejected(scene, MAYA)


POINTS = (
    Point("a proposed mapping", "chat.postMessage", _proposal),
    Point("the decision about a mapping", "chat.update", _proposal_decided),
    Point("a run that starts", "chat.postMessage", _run),
    Point("the summary of a run", "chat.update", _summary),
    Point("the approval of a run", "chat.postMessage", _decision),
    Point("an alert", "chat.postMessage", _alert),
    Point("the recovery of an alert", "chat.update", _alert_recovery),
    Point("a mapping that mParticle proposes", "chat.postMessage", _proposal_of_mparticle),
    Point("the answer to a command", "chat.postEphemeral", _answer),
    Point("the answer in a channel without the app", "chat.postMessage", _answer_in_person),
    Point("a modal", "views.open", _modal),
    Point("the result of a form", "views.update", _result_of_a_form),
    Point("the result of a button in a modal", "views.update", _result_of_a_button),
    Point("the home page", "views.publish", _home),
    Point("whether a person is an admin", "users.info", _admin),
    Point("the user groups of a form", "usergroups.list", _groups),
    Point("whether a viewer of the home page is an admin", "users.info", _admin_at_home),
    Point("the audience file", "files.info", _fetched),
    Point("the content of the audience file", "download", _fetched, OF_BYTES),
    Point("whether a linked file exists", "files.info", _linked),
    Point("the message with the rejected members", "chat.postMessage", _rejected_in_person),
    Point("the upload address of the rejected members", "files.getUploadURLExternal", _rejected),
    Point("the content of the rejected members", "upload", _rejected, OF_BYTES),
    Point("the file of rejected members", "files.completeUploadExternal", _rejected),
)


HEADING = "## Slack"
HEADER = """\
| output or request of the bot | method | answer of Slack | what people see |
|---|---|---|---|"""


def rows(point: Point, seen: Mapping[str, str]) -> list[str]:
    """Return the table rows of a point: answers with the same result share a row."""
    answers: dict[str, list[str]] = {}
    for fault, result in seen.items():
        answers.setdefault(result, []).append(fault)
    return [f"| {point.name} | {point.method} | {', '.join(faults)} | {result} |" for result, faults in answers.items()]


def read(page: str) -> dict[tuple[str, str], str]:
    """Return the result of each point and answer, as the page has it."""
    results: dict[tuple[str, str], str] = {}
    for line in page.partition(f"\n{HEADING}\n")[2].splitlines():
        if line.startswith("| ") and not line.startswith("| output"):
            name, _, faults, seen = line.removeprefix("| ").removesuffix(" |").split(" | ")
            results |= {(name, fault): seen for fault in faults.split(", ")}
    return results


# -- the stage ------------------------------------------------------------------------------------


class Stage:
    """A bot that plays the scenes."""

    def __init__(self, bot: Fed, connection: Connection) -> None:
        """Use a running bot and its connection."""
        self.bot = bot
        self.connection = connection
        self._number = 0
        self._looks: list[tuple[str, Look, str]] = []

    def scene(self, method: str, fault: str) -> Scene:
        """Return a new scene."""
        self._number += 1
        since = self.bot.slack.world.new_ts()
        return Scene(self.bot, self.connection, self._number, fault, method, since)

    def note(self, point: Point, look: Look, result: str) -> None:
        """Remember what people see of a scene."""
        if point.lasts:
            self._looks.append((point.name, look, result))

    def check(self) -> None:
        """Check that each scene still looks as at its end: nothing was posted twice later."""
        assert [(name, look()) for name, look, _ in self._looks] == [(name, result) for name, _, result in self._looks]


@asynccontextmanager
async def stage(directory: Path) -> AsyncIterator[Stage]:
    """Run a bot with short timeouts that updates home pages often."""
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
        async with fed(directory, UNHURRIED) as bot:
            scenes = Stage(bot, await bot.connection())
            await scenes.scene("", "429").mapping()  # without any mapping, the answers would differ
            yield scenes
            scenes.check()


async def observe(stage: Stage, point: Point, fault: str, expected: str | None = None) -> str:
    """Play a scene. Returns what people see at the end, or waits for the expected result."""
    scene = stage.scene(point.method, fault)
    slack = scene.bot.slack
    try:
        look = await point.play(scene)
        if expected is None:
            await asyncio.sleep(2.0)
        else:
            try:
                await slack.wait_for(lambda: look() == expected, LONG)
            except TimeoutError:
                assert look() == expected, (point.name, fault, look(), expected)
        result = look()
        stage.note(point, look, result)
        return result
    finally:
        scene.restore_slack()
