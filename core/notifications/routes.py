"""The use cases of routes: add, remove, test, replay. Each is audited.

Only operators name addresses of webhooks and mail servers (on the command line, and with a token of their own), so
these may be in the private network. Workspaces choose channels and persons in Slack, and PagerDuty (`add_own`).
"""

from collections.abc import Mapping
from fnmatch import fnmatchcase

from sqlalchemy.ext.asyncio import AsyncConnection

from core.engine import Engine
from core.errors import ConflictError, NotFoundError, PermissionDeniedError, ValidationError
from core.models.events import EventType
from core.notifications.answer import Answer
from core.notifications.dispatcher import CLAIM_S, send_now
from core.notifications.route_address import PAGERDUTY_REGIONS, RouteOptions, target_and_secrets
from core.notifications.route_secrets import seal
from core.store import audit_log, clock, deliveries, outbox, routes
from core.store.audit_log import AuditAction
from core.store.deliveries import Delivery, DeliveryStatus
from core.store.managed import check_by_hand
from core.store.routes import Route, RouteKind
from core.store.tenancy import Tenant

NAME_MAX_LENGTH = 60
# Routes of an installation.
MOST_ROUTES = 100
# Deliveries that one replay sends again.
_MOST_REPLAYED = 1_000
_TYPES = [kind.value for kind in EventType if kind is not EventType.TEST]


async def add(engine: Engine, options: RouteOptions, *, by: str, team_id: str | None) -> tuple[Route, str]:
    """Store a route, and return it with a webhook's signing secret, which is not shown again ("": it has none).

    `team_id` is the workspace whose events it gets (None: all). Raises ValidationError if an option is invalid, and
    ConflictError if a route has this name.
    """
    name = options.name.strip()
    if not name or len(name) > NAME_MAX_LENGTH or not name.isprintable():
        raise ValidationError(f"The name of a route has 1 to {NAME_MAX_LENGTH} printable characters.")
    events = _check_events(options)
    target, secrets = target_and_secrets(options)
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


async def change(engine: Engine, route: Route, options: RouteOptions, *, by: str, team_id: str | None) -> Route:
    """Replace all that a route has but for its name, and return it. Its deliveries stay, and go to the new address.

    Raises ValidationError if an option is invalid, and NotFoundError if the route was removed meanwhile.
    """
    events = _check_events(options)
    target, secrets = target_and_secrets(options)
    async with engine.database.write() as db:
        changed = await routes.change(
            db,
            route.id,
            kind=options.kind,
            team_id=team_id,
            connection_id=options.connection_id,
            events=events,
            is_fallback=options.is_fallback,
            target=target,
            sealed=seal(engine, secrets) if secrets is not None else None,
        )
        if changed is None:
            raise NotFoundError(f'Route "{route.name}" was removed meanwhile.')
        before, after = _for_audit(route), _for_audit(changed)
        await _audit(db, changed, AuditAction.ROUTE_CHANGED, by, team_id, before=before, after=after)
    return changed


async def add_own(engine: Engine, options: RouteOptions, *, by: str, team_id: str | None) -> tuple[Route, str]:
    """As `add`, for a workspace (None: for the operator), which may only name places in Slack, and PagerDuty.

    Other addresses could be in the private network of the server. Raises PermissionDeniedError for them.
    """
    is_outside = options.kind is RouteKind.SLACK or (
        options.kind is RouteKind.PAGERDUTY and options.address in PAGERDUTY_REGIONS.values()
    )
    if team_id is not None and not is_outside:
        raise PermissionDeniedError("Only the operator of this program adds routes to webhooks and mail servers.")
    return await add(engine, options, by=by, team_id=team_id)


async def remove(engine: Engine, name: str, *, by: str, team_id: str | None) -> None:
    """Delete a route with its deliveries. Raises NotFoundError if there is none of this name."""
    await remove_route(engine, await require(engine, name), by=by, team_id=team_id)


async def remove_own(engine: Engine, route: Route, *, by: str, team_id: str | None) -> None:
    """Delete a route for a workspace (None: for the operator). Raises PermissionDeniedError if it is the operator's."""
    if team_id is not None and route.team_id != team_id:
        raise PermissionDeniedError(f'The operator of this program added the route "{route.name}", and can remove it.')
    await remove_route(engine, route, by=by, team_id=team_id)


async def remove_route(engine: Engine, route: Route, *, by: str, team_id: str | None) -> None:
    """Delete a route with its deliveries."""
    check_by_hand(f'the route "{route.name}"', route.managed, by)
    async with engine.database.write() as db:
        await routes.remove(db, route.id)
        before = {"name": route.name, "kind": route.kind.value, "target": route.target}
        await _audit(db, route, AuditAction.ROUTE_REMOVED, by, team_id, before=before)


async def test(engine: Engine, name: str, *, by: str, team_id: str | None) -> tuple[Route, Answer]:
    """Send a test event to a route now, and return the route and the receiver's answer.

    Raises NotFoundError if there is no route of this name, and ConflictError if it is one in Slack.
    """
    route = await require(engine, name)
    return route, await test_route(engine, route, by=by, team_id=team_id)


async def test_route(engine: Engine, route: Route, *, by: str, team_id: str | None) -> Answer:
    """Send a test event to a route now, and return the receiver's answer. Raises ConflictError if it is in Slack."""
    if route.kind is RouteKind.SLACK:
        raise ConflictError(f'Route "{route.name}" is in Slack: only routes to other programs are tested here.')
    async with engine.database.write() as db:
        claimed_until = await clock.now(db) + CLAIM_S
        delivery_id = await outbox.add_test(db, route, claimed_until)
        await _audit(db, route, AuditAction.ROUTE_TESTED, by, team_id)
    return await send_now(engine, route, delivery_id)


async def record_test(engine: Engine, route: Route, *, by: str, team_id: str | None) -> None:
    """Audit that a person has sent a test to a route in Slack."""
    async with engine.database.write() as db:
        await _audit(db, route, AuditAction.ROUTE_TESTED, by, team_id)


async def visible(engine: Engine, tenant: Tenant, route_id: int | None = None) -> list[Route]:
    """Return the routes that a workspace sees, oldest first, or the only one with an id.

    Raises NotFoundError if it sees none with this id.
    """
    async with engine.database.read() as db:
        seen = await routes.of_tenant(db, tenant.team_id, with_shared=tenant.with_shared)
    if route_id is None:
        return seen
    routes_with_id = [route for route in seen if route.id == route_id]
    if not routes_with_id:
        raise NotFoundError("There is no such route.")
    return routes_with_id


async def replay(engine: Engine, delivery_id: str, *, by: str, team_id: str | None) -> Delivery:
    """Send an ended delivery again, with the same id. Raises NotFoundError or ConflictError."""
    async with engine.database.write() as db:
        delivery = await deliveries.by_id(db, delivery_id)
        if delivery is None:
            raise NotFoundError(f'There is no delivery "{delivery_id[:40]}". Deliveries are kept for a while only.')
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
        raise NotFoundError(f'There is no route "{name[:NAME_MAX_LENGTH]}".')
    return route


def _for_audit(route: Route) -> dict[str, object]:
    return {"kind": route.kind.value, "target": route.target, "events": list(route.events)}


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
    if options.is_fallback and options.kind is RouteKind.SLACK:
        raise ValidationError("A fallback is for when Slack is away, so it can't be in Slack.")
    is_other = any(fnmatchcase(kind, pattern) for kind in _TYPES if not kind.startswith("alert.") for pattern in events)
    if is_other and (options.is_fallback or options.kind not in (RouteKind.WEBHOOK, RouteKind.EMAIL)):
        raise ValidationError("This route takes alerts only: choose no events, or alert.opened and alert.resolved.")
    return events
