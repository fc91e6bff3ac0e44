"""The checks of `doctor` whether Iterable accepts each API key."""

from collections.abc import Mapping

from bot.cli.doctor import CheckResult
from bot.cli.remediation import CHOOSE_TYPE
from core.connections.project_type import detect, unknown_type
from core.errors import SettingsError, SyncError
from core.identity import ProjectType
from core.iterable import DataCenter, InvalidApiKeyError, IterableClient, NoRateLimit
from core.iterable.retry import INTERACTIVE_RETRY
from core.settings import Settings
from core.store.connections import Connection
from core.vault import Vault


async def environment_key(settings: Settings, key: str, saved: Mapping[DataCenter, Connection]) -> CheckResult:
    """Try the key of ITERABLE_API_KEY in both data centers: the key does not say which one is right."""
    centers = (
        [(DataCenter.US, settings.iterable_url)] if settings.iterable_url else [(each, each.url) for each in DataCenter]
    )
    result = CheckResult(f"key in {settings.variable_of('ITERABLE_API_KEY')}", False, "")
    for center, url in centers:
        tried = await _tried(result.what, key, url, saved.get(center))
        if tried.ok and url == DataCenter.EU.url:
            return CheckResult(
                result.what, True, f"{tried.text}. Its data center is the EU: sync with --data-center eu"
            )
        if tried.ok:
            return tried
        result = result if result.text else tried
    return result


async def saved_key(settings: Settings, vault: Vault | None, connection: Connection) -> CheckResult:
    """Try the key of a saved connection. `vault` decrypts it."""
    subject = f"key of connection {connection.label}"
    if vault is None or connection.api_key is None:
        return CheckResult(subject, False, "can't be decrypted without the secret key")
    try:
        key = vault.decrypt(connection.api_key)
    except SettingsError as error:
        return CheckResult(subject, False, error.message)
    return await _tried(subject, key, settings.iterable_url or connection.data_center.url, connection)


async def _tried(subject: str, key: str, url: str, saved: Connection | None) -> CheckResult:
    """Try a key, and compare the type of its project with that of the connection, if it is saved."""
    center = saved.data_center if saved else DataCenter.EU if url == DataCenter.EU.url else DataCenter.US
    try:
        async with IterableClient(key, base_url=url, limiter=NoRateLimit(), retry_policy=INTERACTIVE_RETRY) as client:
            lists = await client.lists()
            project_type = await detect(client, center)
    except InvalidApiKeyError as error:
        return CheckResult(subject, False, error.message)
    except SyncError as error:
        return CheckResult(subject, False, f"could not be tried. {error.message}")
    static = sum(each.is_standard for each in lists)
    is_right, of_type = _compared(project_type, saved)
    return CheckResult(subject, is_right, f"is accepted; static lists in it: {static:,}; {of_type}")


def _compared(project_type: ProjectType | None, saved: Connection | None) -> tuple[bool, str]:
    """Return whether the type of a project is the one that is saved, as far as known, and what to say about it."""
    if project_type is None and saved is not None and saved.project_type is None:
        return (
            saved.data_center is not DataCenter.EU,
            f"the project's type is not known. {unknown_type(saved)}{CHOOSE_TYPE}",
        )
    if project_type is None:
        known = f", and counts as {saved.project_type.label}" if saved and saved.project_type else ""
        return True, f"the project's type is not known{known}"
    if saved is None or saved.project_type in (None, project_type):
        return True, f"the project is {project_type.label}"
    assert saved.project_type is not None
    return False, (
        f"the project is {project_type.label}, and counts as {saved.project_type.label}. Correct it with "
        f'`iterable-sync connections project-type "{saved.label}" {project_type}`, or *Edit* in Slack. The next sync '
        "of each list then needs approval"
    )
