"""The tour: people of the local Slack use the real bot, and the terminal narrates it."""

from collections.abc import Sequence
from dataclasses import dataclass

from bot.demo.environment import LIST_NAME, DemoEnvironment, demo_environment
from bot.demo.narrator import Narrator
from bot.features.ids import (
    AlertAction,
    ApprovalAction,
    ApprovalBlock,
    ApprovalCallback,
    ConnectAction,
    ConnectBlock,
    ConnectCallback,
    MappingAction,
    MappingBlock,
    MappingCallback,
    RunAction,
    RunBlock,
    RunCallback,
)
from bot.messages.limits import MessagingLimits
from bot.ui.terminal import Terminal
from core.iterable import RetryPolicy
from sandbox import sample_audiences
from sandbox.iterable.faults import Fault
from sandbox.slack import Message, Person

# Requests a second: slow enough to watch the progress.
RATE = "1.5"
MARKETING, ALERTS = "#marketing", "#sync-alerts"
#: Shorter than in production, so that the tour does not wait for edits.
_PACE = MessagingLimits(look=0.3, gap=1.0)
#: Fewer retries than in production.
_PATIENCE = RetryPolicy(
    max_attempts=3, backoff_initial_s=0.2, backoff_max_s=0.5, throttle_timeout_s=10.0, request_timeout_s=10.0
)
# How long any step of the tour may take, in seconds.
_LONG = 30.0
_REJECTED_SHOWN = 4


async def play(terminal: Terminal, port: int = 0) -> bool:
    """Play the tour. Returns whether each list was equal to its audience at the end."""
    async with demo_environment(port, pace=_PACE, retry_policy=_PATIENCE) as environment:
        tour = _Tour(environment, Narrator(terminal, environment.slack))
        await tour.connect()
        await tour.map()
        await tour.approve()
        await tour.look_at_rejected()
        equal = tour.compare(sample_audiences.first())
        await tour.break_iterable()
        await tour.retry()
        equal = tour.compare(sample_audiences.later()) and equal
        tour.farewell()
    return equal


@dataclass(frozen=True, slots=True)
class _Tour:
    demo: DemoEnvironment
    say: Narrator

    @property
    def maya(self) -> Person:
        return self.demo.slack.marketer

    @property
    def amir(self) -> Person:
        return self.demo.slack.approver

    @property
    def ada(self) -> Person:
        return self.demo.slack.admin

    async def connect(self) -> None:
        """Maya tries the command, and Ada connects the project."""
        self.say.chapter(
            "Connect",
            "A Slack workspace, an Iterable project and the bot run on this computer; nothing real is touched. Maya is "
            "a marketer, Amir approves what is sent, Ada administers the workspace.",
        )
        self.say.does(self.maya, f"types /iterable-sync in {MARKETING}")
        await self.maya.command("/iterable-sync")
        self.say.shows(MARKETING, await self._answer(self.maya))
        self.say.does(self.ada, "types /iterable-sync connect, and fills in the form")
        await self.ada.command("/iterable-sync connect")
        view = await self.ada.open_view(ConnectCallback.CONNECT, _LONG)
        await self.ada.click(view, ConnectAction.OPTIONS)
        await self.demo.slack.wait_for(lambda: "Requests a second" in self.demo.slack.render(view), _LONG)
        await self.ada.fill(
            view,
            {
                ConnectBlock.NAME: "Shop",
                ConnectBlock.KEY: self.demo.iterable.key,
                ConnectBlock.RATE: RATE,
                ConnectBlock.CHANNEL: "C01ALERTS",
                ConnectBlock.OPERATORS: [self.maya.id],
                ConnectBlock.APPROVERS: [self.amir.id],
            },
        )
        await self.ada.submit(view)
        await self._modal_says(self.ada, "Connected")
        await self.ada.close()

    async def map(self) -> None:
        """Maya proposes a mapping, and uploads the file."""
        self.say.chapter(
            "Map an audience to a list",
            "From mParticle Maya has downloaded the audience SpringShoppers: about 5,000 profiles, some without an "
            "email, some with one that is none, some that Iterable has forgotten.",
        )
        self.say.does(self.maya, f'types /iterable-sync map, puts the file in and chooses the list "{LIST_NAME}"')
        await self.maya.command("/iterable-sync map")
        view = await self.maya.open_view(MappingCallback.MAP, _LONG)
        await self.maya.fill(
            view,
            {
                MappingBlock.FILE: [self.maya.file(self.demo.first.name, self.demo.first.read_bytes())],
                MappingAction.LIST: LIST_NAME,
            },
        )
        await self.maya.submit(view)
        await self._modal_says(self.maya, "proposed")
        await self.maya.close()
        self.say.shows(MARKETING, await self._with_button(MARKETING, ApprovalAction.REVIEW))

    async def approve(self) -> None:
        """Amir reviews the changes and approves; the run continues to its end."""
        self.say.chapter("Approve", "Nothing has been sent yet. Amir is shown what would change, and decides.")
        self.say.does(self.amir, "presses Review")
        card = await self._with_button(MARKETING, ApprovalAction.REVIEW)
        await self.amir.click(card, ApprovalAction.REVIEW)
        view = await self.amir.open_view(ApprovalCallback.REVIEW, _LONG)
        self.say.shows("modal for Amir", view)
        self.say.does(self.amir, 'writes "Fits the spring plan", and presses Approve')
        await self.amir.fill(view, {ApprovalBlock.COMMENT: "Fits the spring plan"})
        await self.amir.submit(view)
        self.say.shows(f"{MARKETING}, while it runs", await self._with_button(MARKETING, RunAction.CANCEL))
        self.say.shows(f"{MARKETING}, the same message at the end", await self._with_button(MARKETING, RunAction.AGAIN))

    async def look_at_rejected(self) -> None:
        """Maya looks at the reasons, and requests the people who could not be synced."""
        self.say.does(self.maya, "presses See why")
        summary = await self._with_button(MARKETING, RunAction.SEE_WHY)
        await self.maya.click(summary, RunAction.SEE_WHY)
        view = await self.maya.open_view(timeout=_LONG)
        self.say.shows("modal for Maya", view)
        self.say.does(self.maya, "presses Send me the file")
        await self.maya.click(view, RunAction.REJECTED)
        sent = await self.demo.slack.wait_for(self._file_for_maya, _LONG, "the file of people not synced")
        await self.maya.close()
        self.say.shows("direct message to Maya", sent)
        lines = (sent.files[0].content or b"").decode("utf-8-sig").splitlines()
        self.say.quotes(
            "\n".join([*lines[: 1 + _REJECTED_SHOWN], f"... and {len(lines) - 1 - _REJECTED_SHOWN:,} more"])
        )

    async def break_iterable(self) -> None:
        """A week later, the same audience is synced again, and Iterable fails."""
        self.say.chapter(
            "A week later, Iterable breaks",
            "The audience was downloaded again. Some people have left it, some have joined, some have a new address: "
            "only the difference is sent. The mapping is approved, so no approval is needed.",
        )
        self.say.happens("Someone trips over a cable: from the second request on, Iterable answers 503")
        self.demo.iterable.faults.add(Fault("error", path="/api/lists/", after=1, status=503))
        self.say.does(self.maya, "types /iterable-sync run SpringShoppers, and puts the new file in")
        await self.maya.command("/iterable-sync run SpringShoppers")
        view = await self.maya.open_view(RunCallback.START, _LONG)
        await self.maya.fill(
            view, {RunBlock.FILE: [self.maya.file(self.demo.later.name, self.demo.later.read_bytes())]}
        )
        await self.maya.submit(view)
        self.say.shows(ALERTS, await self._with_button(ALERTS, AlertAction.TAKE))

    async def retry(self) -> None:
        """Iterable works again, Maya presses Retry, and the channels get the result."""
        self.say.happens("Iterable works again")
        self.demo.iterable.faults.clear()
        self.say.does(self.maya, "presses Retry now on the alert")
        alert = await self._with_button(ALERTS, AlertAction.TAKE)
        await self.maya.click(alert, RunAction.RETRY)
        self.say.shows(ALERTS, await self._reply_to(alert))
        self.say.shows(MARKETING, await self._with_button(MARKETING, RunAction.AGAIN))

    def compare(self, members: Sequence[sample_audiences.Member]) -> bool:
        """Compare the list in the local Iterable with the audience, and print the result."""
        wanted = sample_audiences.emails(members)
        on_list = {email for email, _ in self.demo.iterable.state.members(self.demo.list_id) if email}
        missing, too_many = len(wanted - on_list), len(on_list - wanted)
        equal = not missing and not too_many
        self.say.finds(
            f"Compared, address by address: {len(wanted):,} people of the audience can be on the list, and the list in "
            f"the local Iterable holds {len(on_list):,}; {missing:,} are missing, {too_many:,} are too many. "
            + ("They are equal." if equal else "They are NOT equal, which should never be: please report it."),
            good=equal,
        )
        return equal

    def farewell(self) -> None:
        """Print the next steps."""
        self.say.chapter(
            "Try it yourself",
            "`make demo` (or iterable-sync demo) opens the same workspace in the browser. README.md says how to "
            "install the app in yours. The tour leaves nothing behind.",
        )

    # -- waiting ------------------------------------------------------------------------------------

    async def _answer(self, person: Person) -> Message:
        """Wait for the latest message that only this person sees in #marketing."""
        slack = self.demo.slack

        def latest() -> Message | None:
            replies = [message for message in slack.messages(MARKETING, person) if message.only_for == person.id]
            return replies[-1] if replies else None

        return await slack.wait_for(latest, _LONG, "an answer")

    async def _with_button(self, channel: str, action: str) -> Message:
        """Wait until the bot's latest message has this button."""
        slack = self.demo.slack

        def latest() -> Message | None:
            seen = reversed([one for one in slack.messages(channel) if one.bot_id])
            latest = next((one for one in seen if not one.thread_ts or one.thread_ts == one.ts), None)
            return latest if latest and action in _actions(latest) else None

        return await slack.wait_for(latest, _LONG, f"a message with the button {action}")

    async def _reply_to(self, message: Message) -> Message:
        """Wait for the bot's latest reply to a message."""
        slack = self.demo.slack

        def latest() -> Message | None:
            replies = [each for each in slack.messages(message.channel, thread=message) if each.ts != message.ts]
            return replies[-1] if replies else None

        return await slack.wait_for(latest, _LONG, "a reply")

    async def _modal_says(self, person: Person, text: str) -> None:
        """Wait until the top modal contains a text, and print it."""
        slack = self.demo.slack
        view = await slack.wait_for(
            lambda: person.view if person.views and text in slack.render(person.view) else None,
            _LONG,
            f"{text} in a modal",
        )
        self.say.shows(f"modal for {person.user.real_name.split()[0]}", view)

    def _file_for_maya(self) -> Message | None:
        return next((one for one in reversed(self.maya.messages("dm")) if one.files), None)


def _actions(message: Message) -> set[str]:
    """Return the ids of a message's buttons."""
    elements = [element for block in message.blocks for element in block.get("elements") or ()]
    elements += [block["accessory"] for block in message.blocks if block.get("accessory")]
    return {str(element.get("action_id")) for element in elements}
