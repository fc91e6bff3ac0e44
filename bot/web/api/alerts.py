"""Operations on alerts."""

from bot.web.api.operations import Call, Operations
from bot.web.api.schemas import Alert, AlertPage
from core import alerting
from core.errors import ConflictError
from core.store import alerts
from core.store.api_tokens import Scope

operations = Operations("Alerts")


@operations.add("GET", "/alerts", Scope.READ, result=AlertPage)
async def list_alerts(call: Call) -> AlertPage:
    """List the alerts that are open or were closed in the last hour, oldest first."""
    seen = {connection.id for connection in await call.connections()}
    async with call.engine.database.read() as db:
        current = await alerts.current(db)
    return AlertPage(items=[Alert.of(each) for each in current if each.connection_id in seen])


@operations.add("POST", "/alerts/{alert_id}/acknowledge", Scope.RUN, result=Alert, errors=(404, 409))
async def acknowledge_alert(call: Call) -> Alert:
    """Record that the owner of the token takes care of an alert."""
    alert = await call.alert()
    async with call.engine.database.write() as db:
        is_first = await alerting.acknowledge(db, alert.id, by=call.actor, team_id=call.token.team_id)
    if not is_first:
        raise ConflictError(f"Someone takes care of alert {alert.id} already.")
    return Alert.of(await call.alert())
