"""The state of the local Iterable: projects with their keys, people and lists, in memory."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, get_args

from sandbox.iterable.campaigns import Campaign, CampaignState
from sandbox.iterable.faults import Faults
from sandbox.iterable.lists import LeanList, ListType, MailingList
from sandbox.iterable.rate_limits import SlidingWindow
from sandbox.iterable.request_log import RequestLog
from sandbox.iterable.responses import ApiError
from sandbox.iterable.settings import Settings
from sandbox.iterable.users import People

ProjectType = Literal["email", "userId", "hybrid"]
PROJECT_TYPES: Final[tuple[str, ...]] = get_args(ProjectType)
KeyStatus = Literal["active", "revoked", "forbidden"]
KEY_STATUSES: Final[tuple[str, ...]] = get_args(KeyStatus)

DEFAULT_KEY: Final = "sandbox-key-00000000000000000000"
HYBRID_KEY: Final = "sandbox-key-hybrid-0000000000000"
USER_ID_KEY: Final = "sandbox-key-userid-0000000000000"

_SAMPLES: Final[tuple[tuple[str, ProjectType, str], ...]] = (
    ("Sandbox", "email", DEFAULT_KEY),
    ("Sandbox hybrid", "hybrid", HYBRID_KEY),
    ("Sandbox userId", "userId", USER_ID_KEY),
)
_SAMPLE_LISTS: Final[tuple[tuple[str, ListType, str], ...]] = (
    ("Newsletter", "Standard", "Everyone who asked for news"),
    ("Spring campaign", "Standard", ""),
    ("Active in the last 30 days", "Dynamic", "Filled by Iterable"),
    ("Do not mail", "Suppression", ""),
    ("Colleagues", "Internal", ""),
)
_FIRST_LIST: Final = 1001
_FIRST_CAMPAIGN: Final = 70_001
_SAMPLE_TIME: Final = 1_735_689_600_000  # milliseconds: 2025-01-01


@dataclass(slots=True)
class Project:
    """A project: its people, its forgotten identifiers, and the windows of its limits."""

    name: str
    type: ProjectType
    people: People = field(default_factory=People, repr=False)
    forgotten_emails: set[str] = field(default_factory=set, repr=False)
    forgotten_user_ids: set[str] = field(default_factory=set, repr=False)
    data_fields: dict[str, str] = field(default_factory=dict, repr=False)
    data: dict[int, dict[str, Any]] = field(default_factory=dict, repr=False)
    channel_unsubscribed: set[int] = field(default_factory=set, repr=False)
    windows: dict[str, SlidingWindow] = field(default_factory=dict, repr=False)
    waiting: list[tuple[float, Callable[[], object]]] = field(default_factory=list, repr=False)

    def apply_waiting(self, until: float = math.inf) -> None:
        """Apply the single-user calls that were accepted and take effect by this time.

        One that a bulk call has made impossible meanwhile is lost: its caller has its answer already.
        """
        due = [apply for at, apply in self.waiting if at <= until]
        self.waiting = [(at, apply) for at, apply in self.waiting if at > until]
        for apply in due:
            with contextlib.suppress(ApiError):
                apply()


@dataclass(slots=True)
class Key:
    """An API key: its project, and whether it works (revoked: 401, of the wrong kind: 403)."""

    project: str
    status: KeyStatus = "active"


class State:
    """The state of the server. List ids are unique across projects.

    `lean` keeps 8 bytes for each join and leave instead of people: for benchmarks with millions. It
    stores no identifiers: rules still apply, but there are no conflicts, and unsubscribing always succeeds.
    `project_type` is the type of the first project.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        faults: Faults | None = None,
        *,
        lean: bool = False,
        project_type: ProjectType = "email",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings or Settings()
        self.faults = faults or Faults()
        self.lean = lean
        self.project_type = project_type
        self.clock = clock
        self.log = RequestLog()
        self.projects: dict[str, Project] = {}
        self.keys: dict[str, Key] = {}
        self.lists: dict[int, MailingList] = {}
        self.campaigns: dict[int, Campaign] = {}
        self._fill()

    def reset(self) -> None:
        """Reset to the samples: no people, no requests, no faults. Settings stay."""
        self.projects.clear()
        self.keys.clear()
        self.lists.clear()
        self.campaigns.clear()
        self.log.clear()
        self.faults.clear()
        self._fill()

    def add_project(self, name: str, project_type: ProjectType, key: str) -> Project:
        """Create an empty project with one key."""
        if name in self.projects:
            raise ValueError(f"there is a project {name!r}")
        if key in self.keys:
            raise ValueError("that key is in use")
        self.projects[name] = Project(name, project_type)
        self.keys[key] = Key(name)
        return self.projects[name]

    def add_key(self, key: str, project: str, status: KeyStatus = "active") -> None:
        """Add a key to a project, or change the status of an existing one."""
        self.keys[key] = Key(self.project(project).name, status)

    def add_list(
        self,
        name: str,
        list_type: ListType = "Standard",
        *,
        description: str = "",
        project: str = "",
        created_at: int | None = None,
    ) -> MailingList:
        """Create an empty list in a project (by default the first one)."""
        list_id = max(self.lists, default=_FIRST_LIST - 1) + 1
        self.lists[list_id] = (LeanList if self.lean else MailingList)(
            list_id,
            self.project(project).name,
            name,
            list_type,
            description,
            int(time.time() * 1000) if created_at is None else created_at,
            keep_history=self.settings.history,
        )
        return self.lists[list_id]

    def add_campaign(
        self,
        name: str,
        list_ids: Sequence[int],
        *,
        start_at: int | None,
        suppression_list_ids: Sequence[int] = (),
        state: CampaignState = "Scheduled",
        project: str = "",
        send_ms: int = 60_000,
    ) -> Campaign:
        """Create a campaign in a project (by default the first one). `start_at` is in ms since 1970."""
        campaign_id = max(self.campaigns, default=_FIRST_CAMPAIGN - 1) + 1
        self.campaigns[campaign_id] = Campaign(
            campaign_id,
            self.project(project).name,
            name,
            state,
            tuple(list_ids),
            tuple(suppression_list_ids),
            start_at,
            self.now_ms(),
            send_ms,
        )
        return self.campaigns[campaign_id]

    def campaigns_of(self, project: Project) -> list[Campaign]:
        """Return the campaigns of a project."""
        return [each for each in self.campaigns.values() if each.project == project.name]

    def now_ms(self) -> int:
        """Return the time of campaigns, in milliseconds since 1970."""
        return int(time.time() * 1000)

    def project(self, name: str = "") -> Project:
        """Return a project by name, or the first one. Raises KeyError."""
        return self.projects[name] if name else next(iter(self.projects.values()))

    def lists_of(self, project: Project) -> list[MailingList]:
        """Return the lists of a project that were not deleted."""
        return [
            mailing_list
            for mailing_list in self.lists.values()
            if mailing_list.project == project.name and not mailing_list.deleted
        ]

    def size(self, list_id: int) -> int:
        """Return the size of a list. Raises KeyError."""
        return self.lists[list_id].size()

    def members(self, list_id: int) -> list[tuple[str | None, str | None]]:
        """Return (email, user id) of the members of a list, in the order of their creation."""
        mailing_list = self.lists[list_id]
        people = self.projects[mailing_list.project].people
        return [people.identity(number) for number in sorted(mailing_list.members)]

    def history(self, list_id: int) -> list[tuple[str | None, str | None, int, int]]:
        """Return (email, user id, joins, leaves) of all former and present members of a list."""
        mailing_list = self.lists[list_id]
        people = self.projects[mailing_list.project].people
        if self.lean:
            return []
        return [(*people.identity(number), *moves) for number, moves in sorted(mailing_list.moves().items())]

    def forget(self, *, email: str | None = None, user_id: str | None = None, project: str = "") -> bool:
        """Forget a person for good (GDPR), known or not. Returns whether the person was known."""
        owner = self.project(project)
        email = email.strip().lower() if email is not None else None
        people = owner.people
        number = people.emails.first.get(email) if email is not None else None
        if number is None and user_id is not None:
            number = people.user_ids.first.get(user_id)
        known = number is not None
        if number is not None:
            held_email, held_user_id = people.identity(number)
            email, user_id = email or held_email, user_id or held_user_id
            for mailing_list in self.lists_of(owner):
                if number in mailing_list.members:
                    mailing_list.leave([number], self.clock())
            people.forget(number)
            owner.data.pop(number, None)
        if email and owner.type != "userId":  # userID-based projects forget by user id
            owner.forgotten_emails.add(email)
        if user_id and owner.type != "email":  # email-based projects forget by email
            owner.forgotten_user_ids.add(user_id)
        return known

    def _fill(self) -> None:
        for name, project_type, key in _SAMPLES:
            self.add_project(name, self.project_type if key == DEFAULT_KEY else project_type, key)
            for list_name, list_type, description in _SAMPLE_LISTS:
                self.add_list(list_name, list_type, description=description, project=name, created_at=_SAMPLE_TIME)
