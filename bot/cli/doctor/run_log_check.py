"""The check of `doctor` whether the run log can be written."""

from sqlalchemy.ext.asyncio import AsyncConnection

from bot.cli.doctor import CheckResult
from bot.ui.formatting import plural
from core.errors import SyncError
from core.store import clock, run_log
from core.vault import Vault


async def run_log_findings(db: AsyncConnection, vault: Vault | None) -> list[CheckResult]:
    """Write to the place of the run log, and say how many runs wait. Nothing if it is off, or there is no vault."""
    log = await run_log.get(db)
    if log is None or vault is None:
        return []
    from core.run_log import configuration  # imports Arrow

    subject = f"run log {log.address}"
    waits = f"{plural(await run_log.due_count(db, await clock.now(db)), 'run')} to write"
    try:
        place, _ = configuration.unseal(vault, log)
        await configuration.write_schema(place)
    except SyncError as error:
        return [CheckResult(subject, False, f"{error.message} ({waits})")]
    return [CheckResult(subject, True, f"can be written, {waits}")]
