"""The checks of `doctor` that ask mParticle's platform API."""

from collections.abc import AsyncIterator, Mapping, Sequence

from bot.cli.doctor import CheckResult
from core.errors import SettingsError
from core.mparticle.client import PlatformClient
from core.mparticle.errors import MParticleError
from core.mparticle.models import Credentials
from core.mparticle.tokens import TokenCache
from core.settings import Settings
from core.store.connections import Connection
from core.store.mparticle_accounts import MParticleAccount
from core.vault import Vault


async def mparticle_findings(
    settings: Settings, vault: Vault | None, saved: Sequence[Connection], accounts: Mapping[int, MParticleAccount]
) -> AsyncIterator[CheckResult]:
    """Yield for each connection with access to mParticle's audiences whether it works."""
    for connection in saved:
        account = accounts.get(connection.id)
        if account is not None:
            yield await _tried(settings, vault, connection, account)


async def _tried(
    settings: Settings, vault: Vault | None, connection: Connection, account: MParticleAccount
) -> CheckResult:
    subject = f"mParticle account {account.account_id} of connection {connection.label}"
    if vault is None:
        return CheckResult(subject, False, "can't be decrypted without the secret key")
    try:
        secret = vault.decrypt(account.client_secret)
        credentials = Credentials(account.client_id, secret, account.account_id, account.pod)
        async with PlatformClient(credentials, TokenCache(), base_url=settings.mparticle_url) as client:
            number = len(await client.audiences())
    except (SettingsError, MParticleError) as error:
        return CheckResult(subject, False, error.message)
    return CheckResult(subject, True, f"answers ({account.pod.label}); active audiences in it: {number:,}")
