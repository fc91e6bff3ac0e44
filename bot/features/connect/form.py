"""The settings of a connection as typed values: what the modal remembers (everything except the key)."""

import math
from collections.abc import Mapping
from typing import Any, Self

from bot.features.ids import ConnectBlock
from bot.ui.modal_state import Metadata, ViewInputs
from bot.ui.more_options import FormMetadata
from bot.ui.people_inputs import read_people
from core.connections.manage import RATE_FLOOR, RATE_MAX, check_name
from core.errors import InputError
from core.identity import ProjectType, UserIdField
from core.iterable import DataCenter
from core.store.connections import DEFAULT_RATE, Connection, ConnectionChanges, ConnectionSettings


class ConnectionForm(FormMetadata):
    """The settings of a connection. `connection_id` is None for a new one."""

    connection_id: int | None = None
    name: str = ""
    data_center: DataCenter = DataCenter.US
    user_id: UserIdField = UserIdField.CUSTOMER_ID
    project_type: ProjectType | None = None
    rate: float | None = DEFAULT_RATE
    channel: str | None = None
    operators: tuple[str, ...] = ()
    approvers: tuple[str, ...] = ()
    self_approval: bool = False
    merges_profiles: bool = False

    @classmethod
    def of(cls, connection: Connection) -> Self:
        """Return the settings of a saved connection."""
        return cls(
            connection_id=connection.id,
            name=connection.name,
            data_center=connection.data_center,
            user_id=connection.user_id_field,
            project_type=connection.project_type,
            rate=connection.requests_per_second,
            channel=connection.alert_channel,
            operators=connection.operators,
            approvers=connection.approvers,
            self_approval=connection.self_approval,
            merges_profiles=connection.merges_profiles,
        )

    @classmethod
    def read(cls, view: Mapping[str, Any]) -> Self:
        """Read the submitted modal. What it does not show stays as it was."""
        inputs, before = ViewInputs(view), cls.load(view)
        return cls(
            shows_options=before.shows_options,
            connection_id=before.connection_id,
            name=inputs.text(ConnectBlock.NAME),
            data_center=DataCenter(inputs.choice(ConnectBlock.DATA_CENTER) or before.data_center),
            user_id=UserIdField(inputs.choice(ConnectBlock.USER_ID) or before.user_id),
            project_type=ProjectType(chosen) if (chosen := inputs.choice(ConnectBlock.PROJECT_TYPE)) else None,
            rate=_number(inputs.text(ConnectBlock.RATE)) if inputs.has(ConnectBlock.RATE) else before.rate,
            channel=inputs.conversation(ConnectBlock.CHANNEL),
            operators=read_people(inputs, ConnectBlock.OPERATORS, ConnectBlock.OPERATOR_GROUPS, before.operators),
            approvers=read_people(inputs, ConnectBlock.APPROVERS, ConnectBlock.APPROVER_GROUPS, before.approvers),
            self_approval=inputs.is_checked(ConnectBlock.SELF_APPROVAL, before.self_approval),
            merges_profiles=inputs.is_checked(ConnectBlock.MERGING, before.merges_profiles),
        )

    def problems(self) -> dict[str, str]:
        """Return error messages by block id, as far as no request is needed to find them."""
        errors: dict[str, str] = {}
        try:
            check_name(self.name)
        except InputError as error:
            errors[ConnectBlock.NAME] = error.message
        if self.rate is None or not (self.rate == 0 or RATE_FLOOR <= self.rate <= RATE_MAX):
            errors[ConnectBlock.RATE] = (
                f"A number from {RATE_FLOOR:g} to {RATE_MAX:,.0f} is needed, or 0 (no limit). If you are in doubt: "
                f"{DEFAULT_RATE:g}."
            )
        if not self.approvers:
            errors[ConnectBlock.APPROVERS] = "Choose at least one person or group who approves what is proposed."
        return errors

    def values(self) -> ConnectionSettings:
        """Return the settings as core.connections.manage takes them."""
        return {
            "name": self.name,
            "data_center": self.data_center,
            "user_id_field": self.user_id,
            "requests_per_second": DEFAULT_RATE if self.rate is None else self.rate,
            "alert_channel": self.channel,
            "operators": self.operators,
            "approvers": self.approvers,
            "self_approval": self.self_approval,
        }

    def changes(self) -> ConnectionChanges:
        """Return the settings of a saved connection as core.connections.manage takes them."""
        known: ConnectionChanges = {} if self.project_type is None else {"project_type": self.project_type}
        return {**self.values(), **known, "merges_profiles": self.merges_profiles}


class KeyModalState(Metadata):
    """The connection whose key is replaced."""

    connection_id: int


def _number(text: str) -> float | None:
    try:
        number = float(text.replace(",", "."))
    except ValueError:
        return None
    return number if math.isfinite(number) else None
