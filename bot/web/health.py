"""GET /healthz: this process answers. GET /readyz: it can do its work, and what is missing if it can't."""

import asyncio

from aiohttp import web
from sqlalchemy.exc import SQLAlchemyError

from core.engine import Engine
from core.store import workers
from core.store.migrate import is_current

# How long the database may take to answer, in seconds.
PATIENCE_S = 5.0
# A worker that has not been heard of for so long (seconds) does not count: four heartbeats.
SILENT_S = 30.0


async def checks(engine: Engine) -> dict[str, str]:
    """What readiness consists of, each "ok" or what is wrong."""
    found = {"database": "does not answer", "migrations": "unknown", "worker": "unknown"}
    try:
        async with asyncio.timeout(PATIENCE_S), engine.database.read() as db:
            current = await is_current(db)
            here = await workers.by_id(db, engine.presence.id)
    except (SQLAlchemyError, OSError, TimeoutError):
        return found
    silent = here is None or here.silent_for > SILENT_S
    return {
        "database": "ok",
        "migrations": "ok" if current else "the database was brought to another form: restart this process",
        "worker": "is stopping" if engine.stopping.is_set() else "has not been heard of" if silent else "ok",
    }


def add_routes(app: web.Application, engine: Engine) -> None:
    """Answer whoever watches over this process."""

    async def healthz(_request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_request: web.Request) -> web.Response:
        found = await checks(engine)
        ready = all(state == "ok" for state in found.values())
        return web.json_response(found, status=200 if ready else 503)

    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
