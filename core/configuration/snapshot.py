"""The stored configuration, as a configuration file would have it."""

import json
import re
from collections.abc import Mapping as Dict
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from core.automation.sources import full_address
from core.configuration import model
from core.configuration.items import ItemName, Items, items_of
from core.configuration.model import ConfigurationFile, Reference
from core.configuration.record import Record
from core.configuration.secret_references import placeholder
from core.connections.manage import ENVIRONMENT
from core.engine import Engine
from core.errors import SettingsError
from core.models.exclusions import ExclusionKind, values_of
from core.notifications.route_secrets import RouteSecrets, unseal
from core.notifications.templates import KNOWN
from core.store import alert_rules, connections, file_sources, lists, mappings, routes, schedules
from core.store.alert_rules import RuleSetting
from core.store.connections import DELETED_KEY, Connection
from core.store.file_sources import FileSource
from core.store.managed import Managed
from core.store.mappings import AudienceMapping, MappingStatus, is_new_list
from core.store.routes import Route, RouteKind
from core.store.schedules import Schedule, Trigger

#: The variable of the key of the connections that are not saved (core/connections/environment.py).
ENVIRONMENT_KEY = "ITERABLE_API_KEY"
_WORKSPACE_NAME = re.compile(r"T[A-Z0-9]+/")


@dataclass(slots=True)
class Snapshot:
    """What is stored. `items` have ids and records; `notes` say what a file can't have.

    `mappings` are all mappings, also those that a file can't describe, and `list_names` the names of their lists by
    the id of the mapping. `declined` are the declined ones by their names in the file.
    """

    file: ConfigurationFile
    items: Items
    mappings: list[AudienceMapping]
    list_names: dict[int, str]
    declined: dict[ItemName, AudienceMapping]
    notes: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Stored:
    """Ids, records and secrets, by the names of objects."""

    ids: dict[ItemName, int] = field(default_factory=dict)
    records: dict[ItemName, Record | None] = field(default_factory=dict)
    secrets: dict[ItemName, dict[str, str]] = field(default_factory=dict)


async def take(engine: Engine, keys: Dict[int, str] | None = None) -> Snapshot:
    """Return what is stored. `keys` are keys of mappings by id; the others have those of their records, or new ones."""
    async with engine.database.read() as db:
        return await _Reader(engine, db, keys or {}).read()


def full_name(connection: Connection) -> str:
    """Return the name of a connection in a file: with its workspace, if it belongs to one."""
    if connection.team_id is not None:
        return f"{connection.team_id}/{connection.name}"
    return f"/{connection.name}" if _WORKSPACE_NAME.match(connection.name) else connection.name


def split_name(name: str) -> tuple[str | None, str]:
    """Return the workspace (None: none) and the name of a connection, from its name in a file."""
    if _WORKSPACE_NAME.match(name):
        workspace, _, rest = name.partition("/")
        return workspace, rest
    return None, name.removeprefix("/") if _WORKSPACE_NAME.match(name.removeprefix("/")) else name


class _Reader:
    """Reads what is stored, through one connection."""

    def __init__(self, engine: Engine, db: AsyncConnection, keys: Dict[int, str]) -> None:
        self._engine, self._db, self._keys = engine, db, keys
        self._stored = _Stored()
        self._notes: list[str] = []
        self._mappings: list[AudienceMapping] = []
        self._list_names: dict[int, str] = {}
        self._declined: dict[ItemName, AudienceMapping] = {}
        self._variables: set[str] = set()

    async def read(self) -> Snapshot:
        known = [each for each in await connections.everyone(self._db) if _is_described(each)]
        of_routes = await routes.everyone(self._db)
        await self._reserve_variables(known, of_routes)
        names = {each.id: full_name(each) for each in known}
        entries = {full_name(each): await self._connection(each) for each in sorted(known, key=lambda each: each.id)}
        of_file = {route.name: entry for route in of_routes if (entry := self._route(route, names)) is not None}
        file = ConfigurationFile(version=1, connections=entries, routes=of_file)
        items = items_of(file)
        for name, item in items.items():
            item.id = self._stored.ids[name]
            item.record = self._stored.records[name]
            item.secrets = self._stored.secrets.get(name, {})
        return Snapshot(file, items, self._mappings, self._list_names, self._declined, self._notes)

    async def _reserve_variables(self, known: list[Connection], of_routes: list[Route]) -> None:
        """Keep placeholders from being named like a variable that the file refers to already."""
        records = [Record.load(each.managed) for each in known] + [Record.load(each.managed) for each in of_routes]
        for connection in known:
            records += [Record.load(each.managed) for each in await mappings.of_connection(self._db, connection.id)]
        for record in records:
            if record is not None:
                self._variables |= {each.env for each in record.references.values() if each.env is not None}

    def _note_item(self, name: ItemName, object_id: int, managed: str | None) -> Record | None:
        self._stored.ids[name] = object_id
        self._stored.records[name] = Record.load(managed)
        return self._stored.records[name]

    def _reference(self, record: Record | None, setting: str, *parts: str) -> Reference:
        known = record.references.get(setting) if record is not None else None
        return known or placeholder(parts, self._variables)

    async def _connection(self, connection: Connection) -> model.Connection:
        name = full_name(connection)
        record = self._note_item(ItemName(Managed.CONNECTION, name), connection.id, connection.managed)
        if connection.api_key is None:
            key = Reference(env=ENVIRONMENT_KEY)
        else:
            key = self._reference(record, "key", "ITERABLE_KEY", name)
        try:
            secret = {"key": self._engine.api_key(connection)}
        except SettingsError:
            secret = {}
        self._stored.secrets[ItemName(Managed.CONNECTION, name)] = secret
        return model.Connection(
            key=key,
            data_center=connection.data_center,
            user_id=connection.user_id_field,
            rate=float(connection.requests_per_second),
            project_type=connection.project_type,
            alert_channel=connection.alert_channel,
            operators=connection.operators,
            approvers=connection.approvers,
            self_approval=connection.self_approval,
            merge_profiles=connection.merges_profiles,
            alert_rules=await self._rules(connection.id, None),
            mappings=await self._of_connection(connection, name),
        )

    async def _rules(self, connection_id: int, mapping_id: int | None) -> model.AlertRules:
        settings = await alert_rules.settings(self._db, connection_id, mapping_id)
        chosen = settings.of_connection if mapping_id is None else settings.of_mapping
        return model.AlertRules.model_validate({rule.value: _rule(setting) for rule, setting in chosen.items()})

    async def _of_connection(self, connection: Connection, name: str) -> dict[str, model.Mapping]:
        everyone = await mappings.of_connection(self._db, connection.id)
        described = [each for each in everyone if each.status is not MappingStatus.DECLINED and not each.is_live]
        if live := sum(each.is_live and each.status is not MappingStatus.DECLINED for each in everyone):
            words = (
                "1 mapping, which mParticle makes, is"
                if live == 1
                else f"{live:,} mappings, which mParticle makes, are"
            )
            self._notes.append(f"{name}: {words} not in the file.")
        keys = self._keys_of(everyone)
        self._mappings += everyone
        names = await lists.names(self._db, [connection.id])
        for each in everyone:
            self._list_names[each.id] = names.get((connection.id, each.list_id), "")
            if each.status is MappingStatus.DECLINED:
                self._declined[ItemName(Managed.MAPPING, f"{name}/{keys[each.id]}")] = each
        return {keys[each.id]: await self._mapping(each, name, keys) for each in described}

    def _keys_of(self, everyone: list[AudienceMapping]) -> dict[int, str]:
        """Return the keys of mappings by id: chosen ones, those of their records, or new ones made of their labels."""
        keys = {each.id: self._keys[each.id] for each in everyone if each.id in self._keys}
        for each in everyone:
            record = Record.load(each.managed)
            if each.id not in keys and record is not None and record.key not in keys.values():
                keys[each.id] = record.key
        for each in everyone:
            if each.id not in keys:
                keys[each.id] = _free(re.sub(r"[^a-z0-9]+", "-", each.label.lower()).strip("-")[:60], keys.values())
        return keys

    async def _mapping(self, mapping: AudienceMapping, connection: str, keys: Dict[int, str]) -> model.Mapping:
        name = ItemName(Managed.MAPPING, f"{connection}/{keys[mapping.id]}")
        record = self._note_item(name, mapping.id, mapping.managed)
        stored_list = await lists.get(self._db, mapping.connection_id, mapping.list_id)
        is_new = is_new_list(mapping.list_id)
        if number := len(values_of(mapping.exclusions, ExclusionKind.ADDRESS)):
            words = "1 excluded address is" if number == 1 else f"{number:,} excluded addresses are"
            self._notes.append(f"{name.name}: {words} not in the file, because only digests are kept.")
        source = await file_sources.get(self._db, mapping.id)
        of_mapping = await schedules.of_mapping(self._db, mapping.id)
        chosen = mapping.exclusions
        others = [keys[int(each)] for each in values_of(chosen, ExclusionKind.MAPPING) if int(each) in keys]
        freeze = mapping.freeze_before_s
        return model.Mapping(
            audience=mapping.audience_id or mapping.audience_name,
            audience_name=mapping.audience_name if mapping.audience_id else None,
            list=None if is_new else mapping.list_id,
            new_list=(stored_list.name if stored_list else mapping.label) if is_new else None,
            name=mapping.name,
            channel=mapping.channel,
            mode=mapping.mode,  # type: ignore[arg-type]  # one of these words
            removals=mapping.removal_policy,
            limits=model.Limits(
                added=mapping.max_added,
                added_percent=_percent(mapping.max_added_share),
                removed_percent=_percent(mapping.max_removed_share),
            ),
            operators=mapping.operators,
            approvers=mapping.approvers,
            fields=dict(mapping.fields),
            exclude=model.Exclusions(
                domains=values_of(chosen, ExclusionKind.DOMAIN),
                files=values_of(chosen, ExclusionKind.FILE),
                mappings=tuple(others),
            ),
            campaign_freeze=None
            if freeze is None
            else model.CampaignFreeze(before_minutes=round(freeze / 60), holds=mapping.freeze_holds),
            source=None if source is None else self._source(source, record, name),
            schedules={each.name: self._schedule(each, name.name, keys) for each in of_mapping},
            alert_rules=await self._rules(mapping.connection_id, mapping.id),
            paused=mapping.status is MappingStatus.PAUSED or None,
            archived=mapping.status is MappingStatus.ARCHIVED,
        )

    def _source(self, source: FileSource, record: Record | None, name: ItemName) -> model.Source:
        reference = None
        if source.sealed is not None:
            reference = self._reference(record, "source.address_from", "SOURCE", name.name)
            try:
                self._stored.secrets[name] = {"source.address_from": full_address(self._engine, source)}
            except SettingsError:
                self._notes.append(f"{name.name}: the address of its source can't be decrypted.")
        return model.Source(
            address=source.address if reference is None else None,
            address_from=reference,
            columns=source.columns,
            sheet=source.sheet,
            archive=source.archive,
            existing=source.existing,
        )

    def _schedule(self, schedule: Schedule, mapping: str, keys: Dict[int, str]) -> model.Schedule:
        self._note_item(ItemName(Managed.SCHEDULE, f"{mapping}/{schedule.name}"), schedule.id, schedule.managed)
        return model.Schedule(
            cron=schedule.cron,
            new_file=schedule.trigger is Trigger.NEW_FILE,
            after=keys[schedule.after_mapping_id] if schedule.after_mapping_id is not None else None,
            time_zone=schedule.time_zone,
            missed=schedule.missed,
            quiet_from=schedule.quiet_from,
            quiet_to=schedule.quiet_to,
            paused=schedule.is_paused or None,
        )

    def _route(self, route: Route, names: Dict[int, str]) -> model.AnyRoute | None:
        name = ItemName(Managed.ROUTE, route.name)
        try:
            secrets = unseal(self._engine, route)
        except SettingsError:
            self._notes.append(f"Route {route.name} is not in the file: its secrets can't be decrypted.")
            return None
        record = self._note_item(name, route.id, route.managed)
        common: dict[str, Any] = {
            "connection": names.get(route.connection_id or 0),
            "workspace": route.team_id,
            "events": route.events,
        }

        def reference(setting: str, *parts: str) -> Reference:
            return self._reference(record, setting, "ROUTE", route.name, *parts)

        if route.kind is RouteKind.SLACK:
            return model.SlackRoute(kind="slack", channel=route.target, **common)
        common["fallback"] = route.is_fallback
        self._stored.secrets[name] = secrets_of(route.kind, secrets)
        if route.kind is RouteKind.WEBHOOK:
            headers = {header: reference(f"headers.{header}", "HEADER", header) for header in secrets.headers}
            url, secret = reference("url", "URL"), reference("secret", "SECRET")
            names_of_templates = {json.dumps(content): name for name, content in KNOWN.items()}
            template = names_of_templates.get(secrets.template, secrets.template) or None
            return model.WebhookRoute(
                kind="webhook", url=url, secret=secret, headers=headers, template=template, **common
            )
        if route.kind is RouteKind.PAGERDUTY:
            key = reference("routing_key", "ROUTING_KEY")
            return model.PagerDutyRoute(kind="pagerduty", url=secrets.url, routing_key=key, **common)
        return model.EmailRoute(
            kind="email",
            server=secrets.url,
            recipients=secrets.recipients,
            sender=secrets.sender,
            password=reference("password", "PASSWORD") if secrets.secret else None,
            **common,
        )


def secrets_of(kind: RouteKind, secrets: RouteSecrets) -> dict[str, str]:
    """Return the secrets of a route by the names of their settings in the file."""
    match kind:
        case RouteKind.WEBHOOK:
            headers = {f"headers.{name}": value for name, value in secrets.headers.items()}
            return {"url": secrets.url, "secret": secrets.secret, **headers}
        case RouteKind.PAGERDUTY:
            return {"routing_key": secrets.secret}
        case RouteKind.EMAIL:
            return {"password": secrets.secret} if secrets.secret else {}
        case RouteKind.SLACK:
            return {}


def is_of_environment(name: str) -> bool:
    """Return whether the name of a connection in a file is one of those that use ITERABLE_API_KEY."""
    return name.startswith(ENVIRONMENT)


def _is_described(connection: Connection) -> bool:
    return connection.uninstalled_at is None and connection.api_key != DELETED_KEY


def _free(base: str, used: Any) -> str:
    key, number = base or "mapping", 1
    while key in used:
        number += 1
        key = f"{base or 'mapping'}-{number}"
    return key


def _percent(share: float | None) -> float | None:
    return None if share is None else round(share * 100, 6)


def _rule(setting: RuleSetting) -> str | float:
    return "off" if not setting.is_on else "on" if setting.threshold is None else setting.threshold
