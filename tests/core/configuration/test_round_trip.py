"""What is exported and applied to an empty database is exported as the same file."""

import asyncio
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.configuration import document, snapshot
from core.configuration.items import items_of
from core.configuration.model import AlertRules, ConfigurationFile
from core.connections.environment import environment_connection
from core.iterable import DataCenter
from core.store.alert_rules import Rule
from tests.core.configuration.harness import BASIC, SECRET, configured
from tests.examples import examples

_WORDS = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=12)
# What a YAML reader may take for something else.
_PITFALLS = st.sampled_from(
    ["no", "on", "null", "~", "12:30", "0x1F", "1e3", "- a", "a: b", "#x", "'", '"', "{}", "true"]
)
_NAMES = (_WORDS | _PITFALLS).map(lambda text: f"{text}x" if text.startswith(("environment-", "/")) else text)
_CRON = st.sampled_from(["0 8 * * 1-5", "*/5 * * * *", "30 23 1 * *"])
_RULES = st.dictionaries(st.sampled_from([each.value for each in Rule]), st.sampled_from(["on", "off", 1, 2.5, 30]))
_PEOPLE = st.lists(st.sampled_from(["U0ANA", "U0BEN", "S0TEAM"]), unique=True)
_PERCENT = st.floats(0, 100).map(lambda number: round(number, 4)) | st.integers(0, 100)


def _dict(required: dict[str, Any], optional: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(required, optional=optional)


def _mapping(number: int) -> st.SearchStrategy[dict[str, Any]]:
    source = _dict(
        {"address": st.sampled_from(["/exports/a", "s3://bucket/a/", "https://host.example/a.csv"])},
        {"sheet": _WORDS, "columns": st.just({"email": "E-Mail"}), "existing": st.sampled_from(["newest", "all"])},
    )
    secret_source = st.just({"address_from": {"env": "SOURCE_URL"}})
    schedule = _dict(
        {},
        {
            "time_zone": st.sampled_from(["UTC", "Europe/Berlin"]),
            "missed": st.sampled_from(["once", "skip"]),
            "paused": st.just(True),
        },
    ).flatmap(lambda common: _CRON.map(lambda cron: {**common, "cron": cron}) | st.just({**common, "new_file": True}))
    exclude = _dict({}, {"domains": st.just(["example.org"]), "files": st.just(["/exports/out.csv"])})
    return _dict(
        {"audience": st.just(f"Audience {number}") | st.just(number + 100)},
        {
            "name": _NAMES,
            "channel": st.just("C0123ABCD"),
            "mode": st.sampled_from(["mirror", "delta", "add"]),
            "removals": st.sampled_from(["ask", "keep"]),
            "limits": _dict({}, {"added": st.integers(0, 9), "added_percent": _PERCENT, "removed_percent": _PERCENT}),
            "operators": _PEOPLE,
            "approvers": _PEOPLE,
            "fields": st.just({"Plan": "plan", "City": "city"}),
            "exclude": exclude,
            "campaign_freeze": _dict({"before_minutes": st.integers(0, 99)}, {"holds": st.just("removals")}),
            "alert_rules": _RULES,
            "state": st.sampled_from(["paused", "archived"]),
        },
    ).flatmap(
        lambda mapping: st.tuples(
            st.just(mapping),
            st.sampled_from([{"list": 1001}, {"list": 1002}, {"new_list": f"List {number}"}]),
            st.just({})
            | st.tuples(source | secret_source, st.dictionaries(_NAMES.map(lambda name: f"{name}{number}"), schedule)),
        ).map(_assembled)
    )


def _assembled(parts: tuple[dict[str, Any], dict[str, Any], Any]) -> dict[str, Any]:
    mapping, target, automation = parts
    state = mapping.pop("state", None)
    mapping |= target
    if automation:
        mapping["source"] = automation[0]
        if state != "archived":
            mapping["schedules"] = automation[1]
    return mapping | ({state: True} if state else {})


def _connection() -> st.SearchStrategy[dict[str, Any]]:
    entry = _dict(
        {"key": st.just({"env": "SHOP_KEY"})},
        {
            "rate": st.sampled_from([0, 0.5, 12]),
            "user_id": st.just("mpid"),
            "alert_channel": st.just("C0ALERTS"),
            "operators": _PEOPLE,
            "approvers": _PEOPLE,
            "self_approval": st.just(True),
            "alert_rules": _RULES,
        },
    )
    keys = st.lists(st.from_regex(r"[a-z0-9][a-z0-9_-]{0,8}", fullmatch=True), max_size=3, unique=True)
    of_it = keys.flatmap(lambda names: st.fixed_dictionaries({name: _mapping(n) for n, name in enumerate(names)}))
    return st.tuples(entry, of_it).map(lambda pair: pair[0] | ({"mappings": _linked(pair[1])} if pair[1] else {}))


def _linked(mappings: dict[str, Any]) -> dict[str, Any]:
    """Let mappings refer to each other: the second excludes the first, and follows it."""
    keys = list(mappings)
    if len(keys) > 1:
        mappings[keys[1]].setdefault("exclude", {})["mappings"] = [keys[0]]
        if mappings[keys[1]].get("schedules"):
            mappings[keys[1]]["schedules"]["after it"] = {"after": keys[0]}
    return mappings


_ROUTES = st.dictionaries(
    _NAMES,
    st.sampled_from(
        [
            {"kind": "webhook", "url": {"env": "OPS_URL"}, "secret": {"env": "OPS_SECRET"}, "template": "datadog"},
            {"kind": "webhook", "url": {"env": "OPS_URL"}, "secret": {"env": "OPS_SECRET"}, "events": ["run.*"]},
            {"kind": "pagerduty", "routing_key": {"env": "PAGER_KEY"}, "fallback": True},
            {"kind": "email", "server": "smtps://a@host.example:465", "recipients": ["b@host.example"]}
            | {"password": {"env": "OPS_SECRET"}},
            {"kind": "slack", "channel": "C0OPS"},
        ]
    ),
    max_size=3,
)
_FILES = st.tuples(
    st.dictionaries(_NAMES | _NAMES.map(lambda name: f"T0123ABC/{name}"), _connection(), min_size=1, max_size=2),
    _ROUTES,
).map(lambda pair: {"version": 1, "connections": pair[0], "routes": pair[1]})


@settings(max_examples=examples(12))
@given(_FILES)
def test_export_and_apply(content: dict[str, Any]) -> None:
    """The export of what a file has made, applied to an empty database, is exported the same, and changes nothing."""
    asyncio.run(_round_trip(document.write(content)))


async def _round_trip(text: str) -> None:
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setenv("SOURCE_URL", "https://user:word@host.example/a.csv?token=1")
        patch.setenv("PAGER_KEY", "a" * 32)
        async with configured(Path(folder, "a"), None, patch) as first:
            await first.apply(text)
            assert await first.apply(text) == []
            exported = await first.export()
            assert SECRET not in exported
            assert "word@" not in exported
            assert await first.apply(exported) == []
        async with configured(Path(folder, "b"), None, patch) as second:
            await second.apply(exported)
            assert await second.export() == exported
            assert await second.apply(exported) == []


async def test_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection that uses ITERABLE_API_KEY is in the file, without what each sync on the command line chooses."""
    async with configured(tmp_path, None, monkeypatch) as world:
        text = BASIC.replace("Shop:", "environment-us:").replace("SHOP_KEY", "ITERABLE_API_KEY")
        text = text.replace("connection: Shop", "connection: environment-us")
        assert (await world.apply(text))[0] == "add connection environment-us"
        await environment_connection(world.engine, user_id=None, data_center=DataCenter.US, rate=3)
        assert await world.apply(text) == []
        assert await world.apply(await world.export()) == []


async def test_first_export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a file that manages it, each secret has a reference of its own, named after its object."""
    async with configured(tmp_path, None, monkeypatch) as world:
        await world.apply()
        await world.apply("version: 1\n")
        exported = document.parse(await world.export(), "exported").content
    assert exported["connections"]["Shop"]["key"] == {"env": "ITERABLE_KEY_SHOP"}
    assert exported["routes"]["ops"]["url"] == {"env": "ROUTE_OPS_URL"}
    assert exported["routes"]["ops"]["headers"] == {"X-Team": {"env": "ROUTE_OPS_HEADER_X_TEAM"}}
    assert items_of(ConfigurationFile.model_validate(exported))


@pytest.mark.parametrize("name", ["Shop", "T0123ABC/Shop", "/T0123ABC/Shop", "a/b", "/x"])
def test_names(name: str) -> None:
    """The workspace and the name of a connection make up its name in the file."""
    team_id, rest = snapshot.split_name(name)
    assert (team_id, rest) == {
        "T0123ABC/Shop": ("T0123ABC", "Shop"),
        "/T0123ABC/Shop": (None, "T0123ABC/Shop"),
    }.get(name, (None, name))


def test_rules() -> None:
    """The file has exactly the alert rules that exist."""
    assert set(AlertRules.model_fields) == {rule.value for rule in Rule}
