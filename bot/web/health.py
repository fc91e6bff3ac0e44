"""GET /healthz: the process answers. GET /readyz: the process can work, and which check fails otherwise."""

import asyncio
from collections.abc import Callable

from aiohttp import web
from sqlalchemy.exc import SQLAlchemyError

from core.engine import Engine
from core.store import workers
from core.store.migrate import is_current

#: How long the database may take to answer, in seconds.
PATIENCE_S = 5.0
#: What is raised if it does not.
DATABASE_AWAY = (SQLAlchemyError, OSError, TimeoutError)
# A worker counts as dead after this many seconds without a heartbeat: four heartbeats.
SILENT_S = 30.0


async def checks(engine: Engine) -> dict[str, str]:
    """Return the readiness checks by name: "ok", or what is wrong."""
    failed = {"database": "does not answer", "migrations": "unknown", "worker": "unknown"}
    try:
        async with asyncio.timeout(PATIENCE_S), engine.database.read() as db:
            current = await is_current(db)
            worker = await workers.by_id(db, engine.presence.id)
    except DATABASE_AWAY:
        return failed
    silent = worker is None or worker.silent_for > SILENT_S
    return {
        "database": "ok",
        "migrations": "ok" if current else "the database was brought to another form: restart this process",
        "worker": "is stopping" if engine.stopping.is_set() else "has not been heard of" if silent else "ok",
    }


def add_liveness(app: web.Application) -> None:
    """Add /healthz."""

    async def healthz(_request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    app.router.add_get("/healthz", healthz)


def add_readiness(app: web.Application, engine: Engine, slack: Callable[[], dict[str, str]] = dict) -> None:
    """Add /readyz. `slack` returns the check of Slack, if there is one.

    It does not change the status: mParticle's messages and the API need no Slack, and a load balancer should not take
    all processes away while Slack is down.
    """

    async def readyz(_request: web.Request) -> web.Response:
        results = await checks(engine)
        ready = all(state == "ok" for state in results.values())
        return web.json_response(results | slack(), status=200 if ready else 503)

    app.router.add_get("/readyz", readyz)
