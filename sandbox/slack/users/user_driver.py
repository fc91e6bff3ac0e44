"""A driver for a person of the workspace, for tests and tours: one method for each action."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sandbox.slack.users import administration, composing, interactions, modals
from sandbox.slack.users.outcome import Outcome
from sandbox.slack.web_api.files import new_file
from sandbox.slack.workspace.models import Channel, File, Json, Message, User, View
from sandbox.slack.workspace.view_state import NotPossibleError

if TYPE_CHECKING:
    from sandbox.slack.lifecycle import Slack

#: How long to wait for the app by default: a busy machine takes many times as long as a quiet one.
WAIT_SECONDS = 60.0


class Person:
    """Performs actions that a person could perform on the screen. Each returns when the app has acknowledged it."""

    def __init__(self, slack: Slack, user: User) -> None:
        self.slack = slack
        self.user = user

    @property
    def id(self) -> str:
        """The person's Slack id."""
        return self.user.id

    @property
    def views(self) -> list[View]:
        """The modals that are open, the one on top last."""
        return self.user.views

    @property
    def view(self) -> View:
        """The modal on top."""
        if not self.user.views:
            raise NotPossibleError(f"{self.user.name} has no modal open")
        return self.user.views[-1]

    @property
    def direct_message(self) -> Channel:
        """The conversation with the bot."""
        return self.slack.world.direct_message(self.user)

    def messages(self, channel: Channel | str, thread: Message | None = None) -> list[Message]:
        """Return the messages that this person reads in a conversation, or in a thread of it."""
        return self.slack.messages(channel, reader=self, thread=thread)

    # -- writing --------------------------------------------------------------------------------

    async def command(self, typed: str, channel: Channel | str = "marketing", thread: Message | None = None) -> Outcome:
        """Type a slash command."""
        conversation = self.slack.channel(channel, self.user)
        return await composing.command(
            self.slack.delivery, self.user, conversation, typed, thread.ts if thread else None
        )

    async def say(self, text: str, channel: Channel | str, thread: Message | None = None) -> Message:
        """Write a message."""
        conversation = self.slack.channel(channel, self.user)
        return composing.say(self.slack.world, self.user, conversation, text, thread.ts if thread else None)

    async def upload_file(
        self,
        channel: Channel | str,
        name: str,
        content: bytes,
        comment: str = "",
        thread: Message | None = None,
    ) -> Message:
        """Upload a file to a conversation. Returns its message."""
        conversation = self.slack.channel(channel, self.user)
        return composing.upload(
            self.slack.world, self.user, conversation, name, content, comment, thread.ts if thread else None
        )

    def file(self, name: str, content: bytes) -> File:
        """Return a file to enter into a `file_input` with `fill`."""
        file = new_file(self.slack.world, self.user, name, content)
        file.for_app = True
        return file

    async def invite(self, channel: Channel | str) -> None:
        """Invite the bot to a channel."""
        composing.invite(self.slack.world, self.user, self.slack.channel(channel, self.user))

    # -- pressing -------------------------------------------------------------------------------

    async def click(self, place: Message | View, name: str, value: Any = None, confirm: bool = True) -> Outcome:
        """Press a button or choose in a menu: `action_id` or `block_id/action_id`.

        `value` is what to choose, or distinguishes buttons with the same action_id. `confirm` is the answer
        to the confirmation dialog, if the element has one.
        """
        return await interactions.click(self.slack.delivery, self.user, place, name, value, confirm)

    async def suggest(self, place: Message | View, name: str, typed: str) -> list[Json]:
        """Type into an external_select. Returns the options that the app offers."""
        return await interactions.suggest(self.slack.delivery, self.user, place, name, typed)

    async def shortcut(self, callback_id: str, message: Message | None = None) -> Outcome:
        """Use a message shortcut, or a global one."""
        return await interactions.shortcut(self.slack.delivery, self.user, callback_id, message)

    # -- modals and home ------------------------------------------------------------------------

    async def open_view(self, callback_id: str | None = None, timeout: float = WAIT_SECONDS) -> View:  # noqa: ASYNC109 - part of the driver's vocabulary
        """Wait until a modal (with this callback_id) is on top, and return it."""

        def on_top() -> View | None:
            top = self.views[-1] if self.views else None
            return top if top and callback_id in (None, top.callback_id) else None

        return await self.slack.wait_for(on_top, timeout, f"a modal {callback_id or ''} for {self.user.name}")

    async def fill(self, view: View, values: Mapping[str, Any]) -> Outcome:
        """Enter values into inputs named `action_id` or `block_id/action_id`.

        Give options by value or text, people and channels by id, and files from `file()`.
        """
        return await modals.fill(self.slack.delivery, self.user, view, values)

    async def submit(self, view: View | None = None) -> Outcome:
        """Press the submit button of the modal on top."""
        return await modals.submit(self.slack.delivery, self.user, view or self.view)

    async def close(self, view: View | None = None, everything: bool = False) -> Outcome:
        """Close the modal on top, or with `everything` the whole stack (the x in the corner)."""
        return await modals.close(self.slack.delivery, self.user, view or self.view, everything)

    async def open_home(self, timeout: float = WAIT_SECONDS) -> View:  # noqa: ASYNC109 - part of the driver's vocabulary
        """Open the app's home tab and wait until the app has published it again."""
        before = self.user.home.hash if self.user.home else None
        await administration.open_home(self.slack.delivery, self.user)

        def published() -> View | None:
            home = self.user.home
            return home if home and home.hash != before else None

        return await self.slack.wait_for(published, timeout, f"the home tab of {self.user.name}")

    async def allow_install(self, authorize_url: str, organization: str = "") -> str:
        """Press Allow on the install page, for the person's workspace or for an organization.

        Returns the address of the redirect.
        """
        return administration.allow(self.slack.world, self.user, authorize_url, organization)
