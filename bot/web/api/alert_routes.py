"""Operations on alert routes."""

from typing import Annotated, Literal

from pydantic import Field

from bot.web.api.operations import Call, Operations
from bot.web.api.schemas import Schema, Sent
from core.errors import ValidationError
from core.notifications import routes as route_commands
from core.notifications.route_address import ALERTS, PAGERDUTY_REGIONS, RouteOptions
from core.store.api_tokens import Scope
from core.store.routes import Route, RouteKind

operations = Operations("Alert routes")


class AlertRoute(Schema):
    """Where alerts and events go. `goes_to` is the host, the channel or the person; secrets are never returned."""

    id: int
    name: str
    kind: Literal["webhook", "pagerduty", "email", "slack"]
    goes_to: str
    events: list[str]
    connection_id: Annotated[int | None, Field(description="The connection whose events it gets. null: all.")]
    workspace: Annotated[str | None, Field(description="The workspace whose events it gets. null: all.")]
    is_fallback: Annotated[bool, Field(description="It gets only alerts that Slack has not shown for 5 minutes.")]

    @classmethod
    def of(cls, route: Route) -> "AlertRoute":
        """Describe a route."""
        return cls(
            id=route.id,
            name=route.name,
            kind=route.kind.value,
            goes_to=route.target,
            events=list(route.events),
            connection_id=route.connection_id,
            workspace=route.team_id,
            is_fallback=route.is_fallback,
        )


class AlertRoutePage(Schema):
    """The routes that the token sees, oldest first. Fallbacks get an alert in this order."""

    items: list[AlertRoute]


class NewAlertRoute(Schema):
    """A route that was added. The signing secret of a webhook is not shown again."""

    route: AlertRoute
    signing_secret: str | None


class AlertRouteTest(Schema):
    """What the receiver answered to a test."""

    works: bool
    status_code: int | None
    error: str | None


_Text = Annotated[str, Field(min_length=1, max_length=2_000)]


class AlertRouteRequest(Sent):
    """A route to add. Tokens of a workspace add places in Slack, and PagerDuty; the operator's add all kinds."""

    name: Annotated[str, Field(min_length=1, max_length=60)]
    kind: Literal["webhook", "pagerduty", "email", "slack"]
    address: Annotated[
        _Text | None,
        Field(description="A webhook's URL, the mail server (smtps://user@host:465), or a channel's or person's id."),
    ] = None
    region: Annotated[Literal["us", "eu"], Field(description="Of PagerDuty.")] = "us"
    secret: Annotated[
        _Text | None, Field(description="PagerDuty's routing key, or the password at the mail server.")
    ] = None
    recipients: Annotated[list[_Text] | None, Field(max_length=20, description="Of e-mails.")] = None
    sender: Annotated[_Text | None, Field(description="Of e-mails.")] = None
    template: Annotated[str | None, Field(max_length=20_000, description="opsgenie, datadog, or a template.")] = None
    events: Annotated[
        list[_Text] | None,
        Field(min_length=1, max_length=20, description="Types of events, or patterns. null: alert.*."),
    ] = None
    connection_id: Annotated[int | None, Field(ge=1, le=10**15, description="Only events of this connection.")] = None
    is_fallback: bool = False

    def options(self) -> RouteOptions:
        """Return the options. Raises ValidationError without an address."""
        address = PAGERDUTY_REGIONS[self.region] if self.kind == "pagerduty" else self.address
        if address is None:
            raise ValidationError("Give the address of the route.")
        return RouteOptions(
            name=self.name,
            kind=RouteKind(self.kind),
            address=address,
            secret=self.secret or "",
            template=self.template or "",
            recipients=self.recipients or (),
            sender=self.sender or "",
            events=self.events or ALERTS,
            connection_id=self.connection_id,
            is_fallback=self.is_fallback,
        )


@operations.add("GET", "/alert-routes", Scope.READ, result=AlertRoutePage)
async def list_alert_routes(call: Call) -> AlertRoutePage:
    """List the routes of alerts and events, oldest first."""
    seen = await route_commands.visible(call.engine, call.tenant)
    return AlertRoutePage(items=[AlertRoute.of(route) for route in seen])


@operations.add(
    "POST", "/alert-routes", Scope.ADMIN, body=AlertRouteRequest, result=NewAlertRoute, status=201, errors=(404, 409)
)
async def add_alert_route(call: Call, body: AlertRouteRequest) -> NewAlertRoute:
    """Add a route of alerts and events."""
    if body.connection_id is not None:
        await call.connection_with(body.connection_id)
    team_id = call.token.team_id
    route, secret = await route_commands.add_own(call.engine, body.options(), by=call.actor, team_id=team_id)
    return NewAlertRoute(route=AlertRoute.of(route), signing_secret=secret or None)


@operations.add("DELETE", "/alert-routes/{route_id}", Scope.ADMIN, result=AlertRoute, errors=(404,))
async def remove_alert_route(call: Call) -> AlertRoute:
    """Remove a route, with its deliveries. Tokens of a workspace remove its own routes."""
    (route,) = await route_commands.visible(call.engine, call.tenant, call.number("route_id"))
    await route_commands.remove_own(call.engine, route, by=call.actor, team_id=call.token.team_id)
    return AlertRoute.of(route)


@operations.add("POST", "/alert-routes/{route_id}/test", Scope.ADMIN, result=AlertRouteTest, errors=(404, 409))
async def test_alert_route(call: Call) -> AlertRouteTest:
    """Send a test event to a route now. Routes in Slack are tested there."""
    (route,) = await route_commands.visible(call.engine, call.tenant, call.number("route_id"))
    answer = await route_commands.test_route(call.engine, route, by=call.actor, team_id=call.token.team_id)
    return AlertRouteTest(works=answer.is_taken, status_code=answer.status_code, error=answer.error)
