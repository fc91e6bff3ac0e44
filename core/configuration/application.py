"""Applies the plan of a configuration file: one use case for each change, as if a person made it, then its record."""

from collections.abc import Mapping as Dict
from typing import Any

from core.automation import schedules as schedule_commands
from core.automation import sources
from core.automation.schedules import ScheduleOptions
from core.automation.sources import SourceOptions
from core.configuration import model
from core.configuration.items import Item, ItemName
from core.configuration.plan import Action, Change, Plan, item_digests
from core.configuration.record import Record
from core.configuration.snapshot import is_of_environment, split_name
from core.configuration.targets import Lists
from core.connections import data_fields, environment, freeze_commands, manage, mapping_end, mapping_lifecycle
from core.connections import mapping_settings as settings_commands
from core.connections.exclusions import ExclusionInput, change_exclusions
from core.connections.mapping_lifecycle import NewList
from core.connections.mapping_settings import MappingEdit
from core.engine import Engine
from core.models.exclusions import ExclusionKind
from core.notifications import routes as route_commands
from core.notifications.route_address import RouteOptions
from core.notifications.rule_settings import set_rules
from core.store import connections, managed, mappings, routes, schedules
from core.store.alert_rules import Rule, RuleSetting
from core.store.audit_log import CONFIGURATION
from core.store.connections import Connection, ConnectionChanges
from core.store.managed import Managed
from core.store.mappings import AdditionLimits, AudienceMapping, MappingStatus
from core.store.routes import RouteKind
from core.store.schedules import Trigger

# The settings that a new mapping is proposed with.
_PROPOSED_WITH = frozenset({"mode", "removals", "channel", "limits.added", "limits.added_percent", "fields"})
_CONNECTION_SETTINGS = {
    "data_center": "data_center",
    "user_id": "user_id_field",
    "rate": "requests_per_second",
    "project_type": "project_type",
    "alert_channel": "alert_channel",
    "operators": "operators",
    "approvers": "approvers",
    "self_approval": "self_approval",
    "merge_profiles": "merges_profiles",
}


class Application:
    """Makes the changes of a plan, in an order in which each finds what it needs. `done` are those that were made."""

    def __init__(self, engine: Engine, plan: Plan, lists: Lists, salt: str) -> None:
        """Take the plan, the lists of connections, and the salt of the digests. No I/O."""
        self._engine, self._plan, self._lists, self._salt = engine, plan, lists, salt
        self._ids = {name: item.id for name, item in plan.stored.items()}
        self._changes = {change.item: change for change in plan.changes}
        self.done: list[Change] = []

    async def run(self) -> None:
        """Make all changes. Whatever a use case raises ends it: a later application resumes there."""
        for item in self._wanted(Managed.CONNECTION):
            await self._connection(item)
        for change in self._changes.values():
            if change.action is Action.REMOVE and change.item.kind is Managed.SCHEDULE:
                await self._remove_schedule(change)
        added = [item for item in self._wanted(Managed.MAPPING) if item.name not in self._ids]
        for item in added:
            await self._propose(item)
        for item in self._wanted(Managed.MAPPING):
            await self._mapping(item)
        for item in self._wanted(Managed.SCHEDULE):
            await self._schedule(item)
        for item in self._wanted(Managed.ROUTE):
            await self._route(item)
        for change in self._changes.values():
            if change.item not in self._plan.wanted and change not in self.done:
                await self._end(change)

    def _wanted(self, kind: Managed) -> list[Item]:
        skipped = self._plan.skipped
        wanted = self._plan.wanted.items()
        return [item for name, item in wanted if name.kind is kind and not {name, item.parent} & skipped]

    async def _record(self, item: Item, change: Change | None) -> None:
        """Store what the file has set, and note the change as made."""
        digests = item_digests(item, self._salt)
        key = str(item.place[-1]) if item.name.kind is Managed.MAPPING else ""
        record = Record(key=key, digests=digests, references=item.references)
        stored = self._plan.stored.get(item.name)
        if stored is None or stored.record != record:
            async with self._engine.database.write() as db:
                await managed.put(db, item.name.kind, self._ids[item.name], record.dump())
        if change is not None:
            self.done.append(change)

    # connections

    async def _connection(self, item: Item) -> None:
        entry, change = item.entry, self._changes.get(item.name)
        assert isinstance(entry, model.Connection)
        settings = change.settings if change is not None else {}
        workspace, name = split_name(item.name.name)
        if item.name not in self._ids and is_of_environment(item.name.name):
            connection = await environment.environment_connection(
                self._engine, user_id=entry.user_id, data_center=entry.data_center, rate=entry.rate
            )
            self._ids[item.name] = connection.id
        elif item.name not in self._ids:
            connected = await manage.connect(
                self._engine,
                name=name,
                api_key=item.secrets["key"],
                data_center=entry.data_center,
                user_id_field=entry.user_id,
                requests_per_second=entry.rate,
                team_id=workspace,
                alert_channel=entry.alert_channel,
                operators=entry.operators,
                approvers=entry.approvers,
                self_approval=entry.self_approval,
                by=CONFIGURATION,
            )
            self._ids[item.name] = connected.connection.id
            settings = {each: pair for each, pair in settings.items() if each in ("project_type", "merge_profiles")} | {
                each: pair for each, pair in settings.items() if each.startswith("alert_rules.")
            }
        elif "key" in settings:
            connection = await self._stored_connection(item.name)
            await manage.replace_key(self._engine, connection, item.secrets["key"], by=CONFIGURATION, team_id=workspace)
        values: dict[str, Any] = {
            stored: getattr(entry, setting) for setting, stored in _CONNECTION_SETTINGS.items() if setting in settings
        }
        if values:
            connection = await self._stored_connection(item.name)
            chosen: ConnectionChanges = values  # type: ignore[assignment]  # the names are those of the settings
            await manage.change(self._engine, connection, by=CONFIGURATION, team_id=workspace, **chosen)
        await self._rules(entry.alert_rules, settings, self._ids[item.name], None, workspace)
        await self._record(item, change)

    async def _stored_connection(self, name: ItemName) -> Connection:
        async with self._engine.database.read() as db:
            connection = await connections.by_id(db, self._ids[name])
        assert connection is not None
        return connection

    async def _rules(
        self,
        rules: model.AlertRules,
        settings: Dict[str, Any],
        connection_id: int,
        mapping_id: int | None,
        team_id: str | None,
    ) -> None:
        chosen = {Rule(name): _rule_setting(value) for name, value in rules if f"alert_rules.{name}" in settings}
        if chosen:
            await set_rules(self._engine, connection_id, mapping_id, chosen, by=CONFIGURATION, team_id=team_id)

    # mappings

    async def _propose(self, item: Item) -> None:
        entry = item.entry
        assert isinstance(entry, model.Mapping)
        assert item.parent is not None
        connection = await self._stored_connection(item.parent)
        known = self._lists.get((item.parent.name, entry.list or 0))
        target = NewList(entry.new_list) if entry.new_list is not None else known
        assert target is not None  # the list was checked
        mapping = await mapping_lifecycle.propose(
            self._engine,
            connection,
            target,
            audience=entry.audience,
            audience_name=entry.audience_name,
            mode=entry.mode,
            removals=entry.removals,
            channel=entry.channel,
            by=CONFIGURATION,
            team_id=connection.team_id,
            status=MappingStatus.PROPOSED,
            limits=AdditionLimits(entry.limits.added, _share(entry.limits.added_percent)),
            fields=entry.fields,
        )
        self._ids[item.name] = mapping.id
        async with self._engine.database.write() as db:
            await managed.put(db, Managed.MAPPING, mapping.id, Record(key=str(item.place[-1])).dump())

    async def _mapping(self, item: Item) -> None:
        """Make all changes of a mapping, but for its proposal."""
        entry, change, mapping_id = item.entry, self._changes.get(item.name), self._ids[item.name]
        assert isinstance(entry, model.Mapping)
        assert item.parent is not None
        engine, team_id = self._engine, split_name(item.parent.name)[0]
        settings = dict(change.settings) if change is not None else {}
        if change is not None and change.action is Action.ADD:
            settings = {name: pair for name, pair in settings.items() if name not in _PROPOSED_WITH}
        if settings.get("archived") == (True, False):
            await mapping_end.restore(engine, mapping_id, by=CONFIGURATION, team_id=team_id)
        if settings.get("paused", (False, False))[0] and not settings["paused"][1]:
            await mapping_lifecycle.resume(engine, mapping_id, by=CONFIGURATION, team_id=team_id)
        if edit := _edit(entry, settings):
            await settings_commands.edit(engine, mapping_id, by=CONFIGURATION, team_id=team_id, **edit)
        if "fields" in settings:
            await data_fields.choose(engine, mapping_id, entry.fields, by=CONFIGURATION, team_id=team_id)
        if any(name.startswith("exclude.") for name in settings):
            await self._exclude(item, entry, team_id)
        if "campaign_freeze" in settings:
            freeze = entry.campaign_freeze or model.CampaignFreeze(before_minutes=0)
            minutes = None if entry.campaign_freeze is None else freeze.before_minutes
            await freeze_commands.set_campaign_freeze(
                engine, mapping_id, minutes, holds=freeze.holds, by=CONFIGURATION, team_id=team_id
            )
        if any(name.startswith("source.") for name in settings) or (
            change is not None and change.action is Action.ADD and entry.source is not None
        ):
            await self._source(item, entry, team_id)
        await self._rules(entry.alert_rules, settings, self._ids[item.parent], mapping_id, team_id)
        if settings.get("paused", (None, None))[1]:
            await self._pause(mapping_id, team_id)
        if settings.get("archived", (None, None))[1]:
            await mapping_end.archive(engine, mapping_id, by=CONFIGURATION, team_id=team_id)
        await self._record(item, change)

    async def _stored_mapping(self, mapping_id: int) -> AudienceMapping:
        async with self._engine.database.read() as db:
            mapping = await mappings.by_id(db, mapping_id)
        assert mapping is not None
        return mapping

    async def _pause(self, mapping_id: int, team_id: str | None) -> None:
        if not await mapping_lifecycle.pause(self._engine, mapping_id, by=CONFIGURATION, team_id=team_id):
            await mapping_lifecycle.pause_proposed(self._engine, mapping_id, team_id=team_id)

    async def _exclude(self, item: Item, entry: model.Mapping, team_id: str | None) -> None:
        assert item.parent is not None
        ids = [self._ids[ItemName(Managed.MAPPING, f"{item.parent.name}/{key}")] for key in entry.exclude.mappings]
        await change_exclusions(
            self._engine,
            self._ids[item.name],
            add=ExclusionInput((), entry.exclude.domains, entry.exclude.files, ids),
            clear=[ExclusionKind.DOMAIN, ExclusionKind.FILE, ExclusionKind.MAPPING],
            by=CONFIGURATION,
            team_id=team_id,
            allowed=None,
        )

    async def _source(self, item: Item, entry: model.Mapping, team_id: str | None) -> None:
        mapping = await self._stored_mapping(self._ids[item.name])
        if entry.source is None:
            await sources.remove_source(self._engine, mapping, by=CONFIGURATION, team_id=team_id)
            return
        options = SourceOptions(
            address=entry.source.address or item.secrets["source.address_from"],
            columns=entry.source.columns,
            sheet=entry.source.sheet,
            archive=entry.source.archive,
            existing=entry.source.existing,
        )
        await sources.set_source(self._engine, mapping, options, by=CONFIGURATION, team_id=team_id, allowed=None)

    # schedules

    async def _schedule(self, item: Item) -> None:
        entry, change = item.entry, self._changes.get(item.name)
        assert isinstance(entry, model.Schedule)
        assert item.parent is not None
        engine, connection = self._engine, str(item.place[1])
        team_id = split_name(connection)[0]
        settings = change.settings if change is not None else {}
        after = self._ids[ItemName(Managed.MAPPING, f"{connection}/{entry.after}")] if entry.after else None
        options = ScheduleOptions(
            trigger=Trigger.AFTER if entry.after else Trigger.NEW_FILE if entry.new_file else Trigger.CRON,
            name=str(item.place[-1]),
            cron=entry.cron,
            time_zone=entry.time_zone,
            after_mapping_id=after,
            missed=entry.missed,
            quiet_from=entry.quiet_from,
            quiet_to=entry.quiet_to,
        )
        if item.name not in self._ids:
            mapping = await self._stored_mapping(self._ids[item.parent])
            added = await schedule_commands.add(engine, mapping, options, by=CONFIGURATION, team_id=team_id)
            self._ids[item.name] = added.id
        elif settings.keys() - {"paused"}:
            async with engine.database.read() as db:
                schedule = await schedules.by_id(db, self._ids[item.name])
            assert schedule is not None
            await schedule_commands.change(engine, schedule, options, by=CONFIGURATION, team_id=team_id)
        if "paused" in settings:
            async with engine.database.read() as db:
                schedule = await schedules.by_id(db, self._ids[item.name])
            assert schedule is not None
            switch = schedule_commands.pause if settings["paused"][1] else schedule_commands.resume
            await switch(engine, schedule, by=CONFIGURATION, team_id=team_id)
        await self._record(item, change)

    async def _remove_schedule(self, change: Change) -> None:
        async with self._engine.database.read() as db:
            schedule = await schedules.by_id(db, self._ids[change.item])
        if schedule is not None:
            team_id = split_name(str(self._plan.stored[change.item].place[1]))[0]
            await schedule_commands.remove(self._engine, schedule, by=CONFIGURATION, team_id=team_id)
        self.done.append(change)

    # routes

    async def _route(self, item: Item) -> None:
        entry, change = item.entry, self._changes.get(item.name)
        assert isinstance(entry, model.Route)
        options = _route_options(item, entry, self._ids)
        if item.name not in self._ids:
            route, _ = await route_commands.add(self._engine, options, by=CONFIGURATION, team_id=entry.workspace)
            self._ids[item.name] = route.id
        elif change is not None and change.settings:
            async with self._engine.database.read() as db:
                stored = await routes.named(db, options.name)
            assert stored is not None
            await route_commands.change(self._engine, stored, options, by=CONFIGURATION, team_id=entry.workspace)
        await self._record(item, change)

    # what the file does not have

    async def _end(self, change: Change) -> None:
        """Archive, remove or release an object that is not in the file."""
        item, object_id = self._plan.stored[change.item], self._ids[change.item]
        team_id = split_name(str(item.place[1]))[0] if item.place[0] == "connections" else None
        if change.action is Action.ARCHIVE:
            await mapping_end.archive(self._engine, object_id, by=CONFIGURATION, team_id=team_id)
        elif change.action is Action.REMOVE:
            await route_commands.remove(self._engine, change.item.name, by=CONFIGURATION, team_id=None)
        if change.action is not Action.REMOVE and item.record is not None:
            async with self._engine.database.write() as db:
                await managed.put(db, change.item.kind, object_id, None)
        self.done.append(change)


def _edit(entry: model.Mapping, settings: Dict[str, Any]) -> MappingEdit:
    """Return the settings of a mapping that one use case changes."""
    wanted: MappingEdit = {}
    if "name" in settings:
        wanted["name"] = entry.name
    if "channel" in settings:
        wanted["channel"] = entry.channel
    if "operators" in settings:
        wanted["operators"] = entry.operators
    if "approvers" in settings:
        wanted["approvers"] = entry.approvers
    if "limits.added" in settings:
        wanted["max_added"] = entry.limits.added
    if "limits.added_percent" in settings:
        wanted["max_added_share"] = _share(entry.limits.added_percent)
    if "limits.removed_percent" in settings:
        wanted["max_removed_share"] = _share(entry.limits.removed_percent)
    if "mode" in settings:
        wanted["mode"] = entry.mode
    if "removals" in settings:
        wanted["removal_policy"] = entry.removals
    return wanted


def _route_options(item: Item, entry: model.Route, ids: Dict[ItemName, int]) -> RouteOptions:
    connection = ids[ItemName(Managed.CONNECTION, entry.connection)] if entry.connection is not None else None
    common: dict[str, Any] = {"name": item.name.name, "events": entry.events, "connection_id": connection}
    secrets = item.secrets
    match entry:
        case model.WebhookRoute():
            headers = {name.removeprefix("headers."): secrets[name] for name in secrets if name.startswith("headers.")}
            return RouteOptions(
                kind=RouteKind.WEBHOOK,
                address=secrets["url"],
                secret=secrets["secret"],
                headers=headers,
                template=entry.template or "",
                is_fallback=entry.fallback,
                **common,
            )
        case model.PagerDutyRoute():
            return RouteOptions(
                kind=RouteKind.PAGERDUTY,
                address=entry.url,
                secret=secrets["routing_key"],
                is_fallback=entry.fallback,
                **common,
            )
        case model.EmailRoute():
            return RouteOptions(
                kind=RouteKind.EMAIL,
                address=entry.server,
                secret=secrets.get("password", ""),
                recipients=entry.recipients,
                sender=entry.sender or "",
                is_fallback=entry.fallback,
                **common,
            )
    assert isinstance(entry, model.SlackRoute)
    return RouteOptions(kind=RouteKind.SLACK, address=entry.channel, **common)


def _rule_setting(value: str | float | None) -> RuleSetting | None:
    if value is None:
        return None
    return RuleSetting(value != "off", None if isinstance(value, str) else value)


def _share(percent: float | None) -> float | None:
    return None if percent is None else percent / 100
