"""The form for access to mParticle's audiences as typed values: everything except the secret."""

from collections.abc import Mapping
from functools import partial
from typing import Any, Self

from bot.features.ids import ConnectBlock
from bot.ui.modal_state import Metadata, ViewInputs
from core.connections.mparticle import check_account_id, check_credential
from core.errors import InputError
from core.mparticle.models import Pod
from core.store.mparticle_accounts import MParticleAccount


class MParticleForm(Metadata):
    """The access of a connection to mParticle's platform API. `is_saved`: it replaces the saved one."""

    connection_id: int
    account_id: str = ""
    pod: Pod = Pod.US1
    client_id: str = ""
    is_saved: bool = False

    @classmethod
    def of(cls, connection_id: int, account: MParticleAccount | None, firehose_account: str | None) -> Self:
        """Return the values of the saved access. Without one, the account that sends live changes is suggested."""
        if account is None:
            return cls(connection_id=connection_id, account_id=firehose_account or "")
        return cls(
            connection_id=connection_id,
            account_id=account.account_id,
            pod=account.pod,
            client_id=account.client_id,
            is_saved=True,
        )

    @classmethod
    def read(cls, view: Mapping[str, Any]) -> Self:
        """Read the submitted modal."""
        inputs, before = ViewInputs(view), cls.load(view)
        return cls(
            connection_id=before.connection_id,
            account_id=inputs.text(ConnectBlock.MPARTICLE_ACCOUNT),
            pod=Pod(inputs.choice(ConnectBlock.MPARTICLE_POD) or Pod.US1),
            client_id=inputs.text(ConnectBlock.MPARTICLE_CLIENT),
            is_saved=before.is_saved,
        )

    def problems(self, secret: str) -> dict[str, str]:
        """Return error messages by block id, as far as no request is needed to find them."""
        checks = {
            ConnectBlock.MPARTICLE_ACCOUNT: partial(check_account_id, self.account_id),
            ConnectBlock.MPARTICLE_CLIENT: partial(check_credential, self.client_id, "client ID"),
            ConnectBlock.MPARTICLE_SECRET: partial(check_credential, secret, "client secret"),
        }
        errors: dict[str, str] = {}
        for block, check in checks.items():
            try:
                check()
            except InputError as error:
                errors[block] = error.message
        return errors
