"""Operations on alert rules, of connections and of mappings."""

from typing import Annotated

from pydantic import Field

from bot.web.api.operations import Call, Operations
from bot.web.api.schemas import Schema, Sent
from core.notifications.rule_settings import set_rules
from core.store import alert_rules
from core.store.alert_rules import Rule, RuleSetting
from core.store.api_tokens import Scope

operations = Operations("Alert rules")


class AlertRule(Schema):
    """A rule as it holds. `set_for` says what has it set: the mapping, the connection, or nothing (the default)."""

    rule: Rule
    is_on: bool
    limit: Annotated[float | None, Field(description="In the unit of the rule. null: what is usual.")]
    set_for: Annotated[str | None, Field(description="mapping, connection, or null.")]


class AlertRulePage(Schema):
    """All rules."""

    items: list[AlertRule]


class AlertRuleChange(Sent):
    """How a rule is set."""

    is_on: bool = True
    limit: Annotated[float | None, Field(gt=0, le=1_000_000, description="null: what is usual.")] = None


class AlertRuleChanges(Sent):
    """The rules to set, by their names. null goes back to the default; rules that are left out stay as they are."""

    rules: dict[Rule, AlertRuleChange | None]


@operations.add("GET", "/connections/{connection_id}/alert-rules", Scope.READ, result=AlertRulePage, errors=(404,))
async def list_rules_of_connection(call: Call) -> AlertRulePage:
    """List the alert rules of a connection, which hold for its mappings."""
    connection = await call.connection()
    return await _rules(call, connection.id, None)


@operations.add(
    "PATCH",
    "/connections/{connection_id}/alert-rules",
    Scope.ADMIN,
    body=AlertRuleChanges,
    result=AlertRulePage,
    errors=(404,),
)
async def change_rules_of_connection(call: Call, body: AlertRuleChanges) -> AlertRulePage:
    """Change alert rules of a connection."""
    connection = await call.connection()
    return await _change(call, connection.id, None, body)


@operations.add("GET", "/mappings/{mapping_id}/alert-rules", Scope.READ, result=AlertRulePage, errors=(404,))
async def list_rules_of_mapping(call: Call) -> AlertRulePage:
    """List the alert rules that hold for a mapping."""
    connection, mapping = await call.mapping(call.number("mapping_id"))
    return await _rules(call, connection.id, mapping.id)


@operations.add(
    "PATCH",
    "/mappings/{mapping_id}/alert-rules",
    Scope.ADMIN,
    body=AlertRuleChanges,
    result=AlertRulePage,
    errors=(404,),
)
async def change_rules_of_mapping(call: Call, body: AlertRuleChanges) -> AlertRulePage:
    """Change alert rules of a mapping."""
    connection, mapping = await call.mapping(call.number("mapping_id"))
    return await _change(call, connection.id, mapping.id, body)


async def _change(call: Call, connection_id: int, mapping_id: int | None, body: AlertRuleChanges) -> AlertRulePage:
    chosen = {rule: RuleSetting(each.is_on, each.limit) if each else None for rule, each in body.rules.items()}
    await set_rules(call.engine, connection_id, mapping_id, chosen, by=call.actor, team_id=call.token.team_id)
    return await _rules(call, connection_id, mapping_id)


async def _rules(call: Call, connection_id: int, mapping_id: int | None) -> AlertRulePage:
    async with call.engine.database.read() as db:
        settings = await alert_rules.settings(db, connection_id, mapping_id)
    items = []
    for rule in Rule:
        setting = settings.get(rule)
        level = "mapping" if rule in settings.of_mapping else "connection" if rule in settings.of_connection else None
        items.append(AlertRule(rule=rule, is_on=setting.is_on, limit=setting.threshold, set_for=level))
    return AlertRulePage(items=items)
