"""The objects of the API that concern mappings."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from bot.web.api.schemas import Schema, Sent, time_of
from core.models.exclusions import ExclusionKind, values_of
from core.store.mappings import AudienceMapping, MappingStatus, RemovalPolicy, is_new_list


class MappingExclusions(Schema):
    """Who is kept off the list of a mapping."""

    addresses: Annotated[int, Field(description="How many addresses. They are kept as digests.")]
    domains: Annotated[list[str], Field(description="Domains, with their subdomains.")]
    files: Annotated[list[str], Field(description="Files with people, read again for each sync.")]
    mappings: Annotated[list[int], Field(description="Mappings: the people who were synced for them.")]

    @classmethod
    def of(cls, mapping: AudienceMapping) -> "MappingExclusions":
        """Describe the exclusions of a mapping."""
        chosen = mapping.exclusions
        return cls(
            addresses=len(values_of(chosen, ExclusionKind.ADDRESS)),
            domains=list(values_of(chosen, ExclusionKind.DOMAIN)),
            files=list(values_of(chosen, ExclusionKind.FILE)),
            mappings=[int(each) for each in values_of(chosen, ExclusionKind.MAPPING)],
        )


class Mapping(Schema):
    """Which audience goes to which list."""

    id: int
    connection_id: int
    audience_id: str | None
    audience_name: str | None
    name: Annotated[str | None, Field(description="What people call it (None: the name of the audience).")]
    list_id: Annotated[int | None, Field(description="None: no list is chosen yet, or it is created after approval.")]
    mode: str
    removals: RemovalPolicy
    channel: Annotated[str | None, Field(description="The Slack channel that shows its syncs.")]
    max_added: Annotated[int | None, Field(description="Additions above which a sync needs approval (None: 1000).")]
    max_added_share: Annotated[float | None, Field(description="And their share of those before (None: 0.5).")]
    max_removed_share: Annotated[
        float | None, Field(description="The share of removals above which a sync needs approval (None: 0.2).")
    ]
    operators: Annotated[
        list[str], Field(description="Who may start its syncs: ids in Slack. None: those of the connection.")
    ]
    approvers: Annotated[
        list[str], Field(description="Who approves its syncs: ids in Slack. None: those of the connection.")
    ]
    status: MappingStatus
    replaces: Annotated[
        int | None, Field(description="The mapping whose place it takes once it is approved (None: no mapping).")
    ]
    exclusions: MappingExclusions
    waits_for_change: Annotated[bool, Field(description="Whether a change of an approved mapping waits for approval.")]
    is_managed: Annotated[bool, Field(description="Whether a configuration file manages it, so it is not edited here.")]
    is_live: Annotated[bool, Field(description="Whether mParticle sends the changes of the audience.")]
    created_at: datetime
    delete_at: Annotated[
        datetime | None, Field(description="When it is deleted, after everyone was taken off its list.")
    ]

    @classmethod
    def of(cls, mapping: AudienceMapping) -> "Mapping":
        """Describe a mapping."""
        return cls(
            id=mapping.id,
            connection_id=mapping.connection_id,
            audience_id=mapping.audience_id,
            audience_name=mapping.audience_name,
            name=mapping.name,
            list_id=None if not mapping.list_id or is_new_list(mapping.list_id) else mapping.list_id,
            mode=mapping.mode,
            removals=mapping.removal_policy,
            channel=mapping.channel,
            max_added=mapping.max_added,
            max_added_share=mapping.max_added_share,
            max_removed_share=mapping.max_removed_share,
            operators=list(mapping.operators),
            approvers=list(mapping.approvers),
            status=mapping.status,
            replaces=mapping.replaces,
            exclusions=MappingExclusions.of(mapping),
            waits_for_change=mapping.waits_for_change,
            is_managed=mapping.managed is not None,
            is_live=mapping.is_live,
            created_at=time_of(mapping.created_at),
            delete_at=None if mapping.delete_at is None else time_of(mapping.delete_at),
        )


_Domain = Annotated[str, StringConstraints(min_length=1, max_length=253)]
_Email = Annotated[str, StringConstraints(min_length=3, max_length=320)]
_Place = Annotated[str, StringConstraints(min_length=1, max_length=2000)]


class ExclusionRequest(Sent):
    """Who is kept off the list from now on. They replace those before; null leaves those of a kind as they are."""

    addresses: Annotated[list[_Email] | None, Field(max_length=500, description="Email addresses.")] = None
    domains: Annotated[list[_Domain] | None, Field(max_length=100, description="Domains, with their subdomains.")] = (
        None
    )
    files: Annotated[
        list[_Place] | None,
        Field(max_length=100, description="Files in places that ITERABLE_SYNC_AUDIENCE_PATHS permits."),
    ] = None
    mappings: Annotated[
        list[Annotated[int, Field(ge=1, le=10**15)]] | None,
        Field(max_length=100, description="Mappings of the same connection: the people who were synced for them."),
    ] = None


_Person = Annotated[str, StringConstraints(min_length=2, max_length=320)]
_WHO = "ids in Slack, email addresses, or @handles of user groups"


class MappingPage(Schema):
    """A page of mappings, by id."""

    items: list[Mapping]
    next: str | None


class MappingChange(Sent):
    """The settings to change. Those that are left out stay as they are; null returns to the default."""

    name: Annotated[str | None, Field(min_length=1, max_length=200, description="What people call it.")] = None
    channel: Annotated[
        str | None, Field(min_length=1, max_length=40, description="The id of the Slack channel that shows its syncs.")
    ] = None
    max_added: Annotated[
        int | None, Field(ge=0, le=10**15, description="Additions above which a sync needs approval.")
    ] = None
    max_added_share: Annotated[
        float | None, Field(ge=0, le=1000, description="And their share of the people who were synced before.")
    ] = None
    max_removed_share: Annotated[
        float | None, Field(ge=0, le=1, description="The share of removals above which a sync needs approval.")
    ] = None
    mode: Annotated[
        Literal["auto", "mirror", "delta", "add"] | None,
        Field(description="What a sync does. A change needs approval, with the next sync."),
    ] = None
    removals: Annotated[
        RemovalPolicy | None, Field(description="Who leaves the audience. A change needs approval, with the next sync.")
    ] = None
    operators: Annotated[
        list[_Person] | None,
        Field(max_length=50, description=f"Who may start its syncs: {_WHO}. None: those of the connection."),
    ] = None
    approvers: Annotated[
        list[_Person] | None,
        Field(max_length=50, description=f"Who approves its syncs: {_WHO}. None: those of the connection."),
    ] = None


class Members(StrEnum):
    """What happens to the people on the list of a mapping that is deleted."""

    LEAVE = "leave"
    """They stay, and no later sync removes them."""
    REMOVE = "remove"
    """A sync takes them off first, after approval."""


class ListChange(Sent):
    """Another list for a mapping."""

    list_id: Annotated[int, Field(ge=1, le=10**15, description="A Standard list of the project.")]
    people: Annotated[Members, Field(description="Leave the people on the former list, or remove them first.")]


class ListChanged(Schema):
    """What was proposed."""

    mapping: Annotated[Mapping, Field(description="It takes the place of the former one once it is approved.")]
    sync_id: Annotated[str | None, Field(description="The sync, which needs approval, that empties the former list.")]


class DeletionQuery(Sent):
    """How to delete a mapping."""

    members: Annotated[Members, Field(description="Leave the people on the list, or remove them first.")]


class MappingDeletion(Schema):
    """What was deleted, or will be once everyone is off the list."""

    is_deleted: Annotated[bool, Field(description="False: `sync_id` takes everyone off the list first.")]
    people: Annotated[int, Field(description="How many people are on the list because of the mapping.")]
    schedules: Annotated[list[str], Field(description="The schedules that are deleted with it.")]
    sync_id: Annotated[str | None, Field(description="The sync that needs approval.")]
