"""The use cases of routes: add, remove, test, replay. Each is audited.

Only operators name addresses of webhooks, PagerDuty and mail servers (on the command line), so these may be in the
private network. People in Slack choose channels and persons in Slack only (`RouteKind.SLACK`).
"""

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

from sqlalchemy.ext.asyncio import AsyncConnection

from core.engine import Engine
from core.errors import ConflictError, NotFoundError, ValidationError
from core.models.events import EventType
from core.notifications import templates, webhook
from core.notifications.answer import Answer
from core.notifications.dispatcher import CLAIM_S, send_now
from core.notifications.route_secrets import RouteSecrets, seal
from core.store import audit_log, clock, deliveries, outbox, routes
from core.store.audit_log import AuditAction
from core.store.deliveries import Delivery, DeliveryStatus
from core.store.routes import Route, RouteKind

NAME_MAX_LENGTH = 60
# Routes of an installation.
MOST_ROUTES = 100
#: The events that a route gets if no one chose others.
ALERTS = ("alert.*",)
# Deliveries that one replay sends again.
_MOST_REPLAYED = 1_000
_TYPES = [kind.value for kind in EventType if kind is not EventType.TEST]


@dataclass(frozen=True, slots=True)
class RouteOptions:
    """What a person chooses. `address` is a webhook's URL, a channel or person in Slack, and so on.

    `secret` is a webhook's signing secret ("": a new one). `events` are types, or patterns such as `run.*`. A fallback
    gets only alerts that Slack has not shown.
    """

    name: str
    kind: RouteKind
    address: str
    secret: str = ""
    headers: dict[str, str] | None = None
    template: str = ""
    events: Sequence[str] = ALERTS
    connection_id: int | None = None
    is_fallback: bool = False


async def add(engine: Engine, options: RouteOptions, *, by: str, team_id: str | None) -> tuple[Route, str]:
    """Store a route, and return it with a webhook's signing secret, which is not shown again ("": it has none).

    `team_id` is the workspace whose events it gets (None: all). Raises ValidationError if an option is invalid, and
    ConflictError if a route has this name.
    """
    name = options.name.strip()
    if not name or len(name) > NAME_MAX_LENGTH or not name.isprintable():
        raise ValidationError(f"The name of a route has 1 to {NAME_MAX_LENGTH} printable characters.")
    events = _check_events(options)
    target, secrets = _target_and_secrets(options)
    async with engine.database.write() as db:
        everyone = await routes.everyone(db)
        if any(route.name == name for route in everyone):
            raise ConflictError(f'There is a route "{name}" already. Remove it, or choose another name.')
        if len(everyone) >= MOST_ROUTES:
            raise ConflictError(f"There are {MOST_ROUTES} routes already. Remove one first.")
        route = await routes.add(
            db,
            name=name,
            kind=options.kind,
            team_id=team_id,
            connection_id=options.connection_id,
            events=events,
            is_fallback=options.is_fallback,
            target=target,
            sealed=seal(engine, secrets) if secrets is not None else None,
            created_by=by,
        )
        after = {"name": name, "kind": route.kind.value, "target": target, "events": list(events)}
        await _audit(db, route, AuditAction.ROUTE_ADDED, by, team_id, after=after)
    is_webhook = options.kind is RouteKind.WEBHOOK and secrets is not None
    return route, secrets.secret if is_webhook and secrets is not None else ""


async def remove(engine: Engine, name: str, *, by: str, team_id: str | None) -> None:
    """Delete a route with its deliveries. Raises NotFoundError if there is none of this name."""
    route = await require(engine, name)
    async with engine.database.write() as db:
        await routes.remove(db, route.id)
        before = {"name": route.name, "kind": route.kind.value, "target": route.target}
        await _audit(db, route, AuditAction.ROUTE_REMOVED, by, team_id, before=before)


async def test(engine: Engine, name: str, *, by: str, team_id: str | None) -> tuple[Route, Answer]:
    """Send a test event to a route now, and return the route and the receiver's answer.

    Raises NotFoundError if there is no route of this name, and ConflictError if it is one in Slack.
    """
    route = await require(engine, name)
    if route.kind is RouteKind.SLACK:
        raise ConflictError(f'Route "{route.name}" is in Slack. `iterable-sync doctor` checks Slack.')
    async with engine.database.write() as db:
        claimed_until = await clock.now(db) + CLAIM_S
        delivery_id = await outbox.add_test(db, route, claimed_until)
        await _audit(db, route, AuditAction.ROUTE_TESTED, by, team_id)
    return route, await send_now(engine, route, delivery_id)


async def replay(engine: Engine, delivery_id: str, *, by: str, team_id: str | None) -> Delivery:
    """Send an ended delivery again, with the same id. Raises NotFoundError or ConflictError."""
    async with engine.database.write() as db:
        delivery = await deliveries.by_id(db, delivery_id)
        if delivery is None:
            raise NotFoundError(
                f'There is no delivery "{delivery_id[:40]}". `iterable-sync deliveries list` shows them.'
            )
        if not await deliveries.replay(db, [delivery.id]):
            raise ConflictError(f"Delivery {delivery.id} is on its way already.")
        await _audit_replay(db, delivery.route_id, [delivery.id], by, team_id)
    return delivery


async def replay_failed(engine: Engine, name: str, *, by: str, team_id: str | None) -> int:
    """Send all deliveries again that a route has not taken. Returns how many there are."""
    route = await require(engine, name)
    async with engine.database.write() as db:
        failed = await deliveries.latest(db, _MOST_REPLAYED, route_id=route.id, status=DeliveryStatus.FAILED)
        number = await deliveries.replay(db, [delivery.id for delivery in failed])
        await _audit_replay(db, route.id, [delivery.id for delivery in failed], by, team_id)
    return number


async def require(engine: Engine, name: str) -> Route:
    """Return the route of a name. Raises NotFoundError if there is none."""
    async with engine.database.read() as db:
        route = await routes.named(db, name.strip())
    if route is None:
        raise NotFoundError(f'There is no route "{name[:NAME_MAX_LENGTH]}". `iterable-sync routes list` shows them.')
    return route


async def _audit(
    db: AsyncConnection,
    route: Route,
    action: AuditAction,
    by: str,
    team_id: str | None,
    *,
    before: Mapping[str, object] | None = None,
    after: Mapping[str, object] | None = None,
) -> None:
    subject = f"route:{route.id}"
    await audit_log.add(db, team_id=team_id, actor=by, action=action, subject=subject, before=before, after=after)


async def _audit_replay(db: AsyncConnection, route_id: int, ids: list[str], by: str, team_id: str | None) -> None:
    subject, after = f"route:{route_id}", {"deliveries": ids[:10], "number": len(ids)}
    await audit_log.add(
        db, team_id=team_id, actor=by, action=AuditAction.DELIVERIES_REPLAYED, subject=subject, after=after
    )


def _check_events(options: RouteOptions) -> tuple[str, ...]:
    """Return the events of a route. Raises ValidationError if a pattern fits none, or a fallback wants others."""
    events = tuple(dict.fromkeys(pattern.strip() for pattern in options.events))
    for pattern in events:
        if not any(fnmatchcase(kind, pattern) for kind in _TYPES):
            raise ValidationError(
                f'There is no event "{pattern[:40]}". The events are: {", ".join(_TYPES)}; run.* is all of runs.'
            )
    is_other = any(fnmatchcase(kind, pattern) for kind in _TYPES if not kind.startswith("alert.") for pattern in events)
    if is_other and (options.is_fallback or options.kind not in (RouteKind.WEBHOOK, RouteKind.EMAIL)):
        raise ValidationError(
            "This route takes alerts only: leave --event out, or give alert.opened and alert.resolved."
        )
    return events


def _target_and_secrets(options: RouteOptions) -> tuple[str, RouteSecrets | None]:
    """Return what people see of the address, and what is stored encrypted. Raises ValidationError."""
    url = check_url(options.address)
    secret = webhook.check_secret(options.secret) if options.secret else webhook.new_secret()
    template = templates.check(options.template) if options.template else ""
    secrets = RouteSecrets(url=url, secret=secret, headers=options.headers or {}, template=template)
    return origin_of(url), secrets


def check_url(text: str) -> str:
    """Return the address of a receiver. Raises ValidationError if it is not HTTPS, or HTTP to this machine."""
    url = text.strip()
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or not url.isascii() or not url.isprintable() or " " in url:
        raise ValidationError("That is not the address of a receiver. Give it as https://host/path.")
    if parts.username is not None:
        raise ValidationError("The address has a user or password in it. Give these in a header instead.")
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(host)):
        raise ValidationError(
            "The address must begin with https://; http:// is possible on this machine only (127.0.0.1, localhost)."
        )
    return url


def origin_of(url: str) -> str:
    """Return the scheme and host of an address: a path often contains a secret."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port else "")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
