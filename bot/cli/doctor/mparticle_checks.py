"""The checks of `doctor` that ask mParticle's platform API."""

from collections.abc import AsyncIterator, Mapping, Sequence

from bot.cli.doctor import CheckResult
from core.errors import SettingsError
from core.mparticle.client import PlatformClient
from core.mparticle.errors import MParticleError
from core.mparticle.models import Credentials
from core.mparticle.tokens import TokenCache
from core.planning.removal_limits import DELETED
from core.settings import Settings
from core.store.connections import Connection
from core.store.mappings import AudienceMapping, MappingStatus
from core.store.mparticle_accounts import MParticleAccount
from core.vault import Vault


async def mparticle_findings(
    settings: Settings,
    vault: Vault | None,
    saved: Sequence[Connection],
    accounts: Mapping[int, MParticleAccount],
    mapped: Sequence[AudienceMapping],
) -> AsyncIterator[CheckResult]:
    """Yield for each connection with access to mParticle's audiences whether it works, and which audiences are gone.

    `mapped` are the mappings of all connections.
    """
    for connection in saved:
        account = accounts.get(connection.id)
        if account is not None:
            of_connection = [mapping for mapping in mapped if mapping.connection_id == connection.id]
            active = [mapping for mapping in of_connection if mapping.status is MappingStatus.ACTIVE]
            for result in await _tried(settings, vault, connection, account, active):
                yield result


async def _tried(
    settings: Settings,
    vault: Vault | None,
    connection: Connection,
    account: MParticleAccount,
    mapped: Sequence[AudienceMapping],
) -> list[CheckResult]:
    subject = f"mParticle account {account.account_id} of connection {connection.label}"
    if vault is None:
        return [CheckResult(subject, False, "can't be decrypted without the secret key")]
    try:
        secret = vault.decrypt(account.client_secret)
        credentials = Credentials(account.client_id, secret, account.account_id, account.pod)
        async with PlatformClient(credentials, TokenCache(), base_url=settings.mparticle_url) as client:
            audiences = {audience.id for audience in await client.audiences()}
    except (SettingsError, MParticleError) as error:
        return [CheckResult(subject, False, error.message)]
    return [
        CheckResult(subject, True, f"answers ({account.pod.label}); active audiences in it: {len(audiences):,}"),
        *(
            CheckResult(f"audience of {mapping.label}", True, DELETED, is_note=True)
            for mapping in mapped
            if mapping.audience_id is not None and mapping.audience_id not in audiences
        ),
    ]
