"""The reference matches the code: each setting, command, exit code, JSON field, metric and rejection reason."""

import ast
import dataclasses
import json
import re
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_type_hints

import jsonschema_rs
import pytest
import typer
import yaml
from prometheus_client.metrics import MetricWrapperBase
from pydantic import SecretStr

from bot import metrics
from bot.cli.exit_codes import ExitCode
from bot.cli.program import application
from bot.slack.app_factory import INSTALL_PATH, REDIRECT_PATH
from bot.slack.preflight import BOT_SCOPES
from bot.web.api.problems import _GENERAL_CODES
from bot.web.metrics import _Stored
from bot.web.slack import EVENTS_PATH
from core.configuration import document, json_schema
from core.models.events import Event, EventType
from core.models.run import PROCESS_DIED, RunStatus, SyncMode
from core.reporting.rejection_reasons import EXPLANATIONS
from core.reporting.run_report import RunReport
from core.settings import Settings
from core.sources import table_columns
from core.sources.detection import FORMATS, FileFormat
from core.store.alert_kinds import OF_ONE_CODE, RUN_RULES
from core.store.metrics import Metrics
from tests.documents import DOCUMENTS, ROOT, code, code_blocks, section, table_rows
from tools import api, configuration, events, formats, iterable_answers, manifest_link

_TYPES = {str: "string", int: "integer", float: "number", dict: "object", list: "array"}


def _variable(name: str) -> str:
    alias = Settings.model_fields[name].validation_alias
    return alias if isinstance(alias, str) else f"ITERABLE_SYNC_{name.upper()}"


def test_settings() -> None:
    """The reference has exactly the settings that exist, each with its default if that is a plain value."""
    rows = table_rows(DOCUMENTS["docs/reference/settings.md"])
    documented = {code(row[0]): code(row[1]) for row in rows}
    assert len(documented) == len(rows)
    assert set(documented) == {_variable(name) for name in Settings.model_fields}
    for name, field in Settings.model_fields.items():
        if isinstance(field.default, str | int | float | Path):
            assert documented[_variable(name)] == str(field.default), name


def test_secrets_from_files() -> None:
    """The reference names the variable with the file of exactly the secret settings."""
    named = re.findall(r"`(\w+_FILE)`", section("docs/reference/settings.md", "Secrets from files"))
    secret = [
        _variable(name) for name, field in Settings.model_fields.items() if SecretStr in get_args(field.annotation)
    ]
    assert sorted(named) == sorted(f"{name}_FILE" for name in secret)


def _commands(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Each command by its usage: its words and its arguments. (Typer's classes have no public types.)"""
    if hasattr(command, "commands"):
        for name, each in command.commands.items():
            yield from _commands(each, f"{path} {name}")
    else:
        arguments = [each.metavar for each in command.params if not _is_option(each)]
        yield " ".join([path, *arguments]), command


def _is_option(parameter: Any) -> bool:
    return bool(parameter.param_type_name == "option")


COMMANDS = dict(_commands(typer.main.get_command(application()), "iterable-sync"))


def test_commands() -> None:
    """The reference has exactly the commands that exist, with their arguments."""
    headings = [line for line in DOCUMENTS["docs/reference/cli.md"].splitlines() if line.startswith("### ")]
    assert sorted(code(line) for line in headings) == sorted(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_options(command: str) -> None:
    """The reference has exactly the options of a command, with defaults, in the order of `--help`."""
    rows = table_rows(section("docs/reference/cli.md", f"`{command}`"))
    options = [each for each in COMMANDS[command].params if _is_option(each)]
    assert [code(row[0]) for row in rows] == [each.opts[0] for each in options]
    for (_, default, _), option in zip(rows, options, strict=True):
        if option.required:
            assert default == "required"
        elif option.default not in (None, False, ""):
            assert code(default) == str(option.default)


def test_exit_codes() -> None:
    """The reference has exactly the exit codes that exist, with their names."""
    rows = table_rows(DOCUMENTS["docs/reference/exit-codes.md"])
    assert {code(row[1]): int(row[0]) for row in rows} == {each.name: each.value for each in ExitCode}


def _json_type(hint: Any) -> str:
    parts = get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    names = [_TYPES[getattr(part, "__origin__", part)] for part in parts if part is not type(None)]
    return " or ".join([*names, *(["null"] if type(None) in parts else [])])


def test_json_fields() -> None:
    """The reference has exactly the fields of the JSON object, with their types, in order."""
    rows = table_rows(DOCUMENTS["docs/reference/json.md"])
    hints = get_type_hints(RunReport)
    fields = [(each.name, _json_type(hints[each.name])) for each in dataclasses.fields(RunReport)]
    assert [(code(row[0]), row[1]) for row in rows] == fields


def test_json_values() -> None:
    """The reference has each status and each mode, and its example is a report whose numbers add up."""
    rows = {code(row[0]): row[2] for row in table_rows(DOCUMENTS["docs/reference/json.md"])}
    assert [status.value for status in RunStatus if f"`{status.value}`" not in rows["status"]] == []
    assert [mode.value for mode in SyncMode if f"`{mode.value}`" not in rows["mode"]] == []
    (block,) = code_blocks("docs/reference/json.md", "json")
    report = RunReport(**json.loads(block))
    assert report.to_json() + "\n" == block
    outcomes = report.added + report.updated + report.removed + report.unchanged + report.duplicates + report.rejected
    assert report.members + report.left == outcomes
    assert sum(report.rejected_by_reason.values()) == report.rejected


def _documented(heading: str) -> dict[str, tuple[str, set[str]]]:
    rows = table_rows(section("docs/reference/metrics.md", heading))
    return {
        code(name): (kind, {label.strip(" `") for label in labels.split(",")} - {""}) for name, kind, labels, _ in rows
    }


def test_metrics_from_the_database() -> None:
    """The reference has exactly the metrics that come from the database, with their types and labels."""
    one = {"any": 1}
    stored = Metrics(
        runs=one, members=one, requests=one, rate=1.0, slowdown=1.0, backlog=1, waiting=1, oldest_age_s=0.0
    )
    assert _documented("From the database") == {
        metric.name: (metric.type, {label for sample in metric.samples for label in sample.labels})
        for metric in _Stored(stored).collect()
    }


def test_metrics_from_the_process() -> None:
    """The reference has exactly the metrics that the process counts, with their types and labels."""
    counted = [each for each in vars(metrics).values() if isinstance(each, MetricWrapperBase)]
    assert _documented("From this process") == {
        metric.name: (metric.type, set(each._labelnames)) for each in counted for metric in each.collect()
    }


def test_rejection_reasons() -> None:
    """The reference has exactly the rejection reasons that exist, each with a meaning and a remedy."""
    rows = table_rows(DOCUMENTS["docs/reference/rejections.md"])
    assert sorted(code(row[0]) for row in rows) == sorted(EXPLANATIONS)
    assert all(meaning and remedy for _, meaning, remedy in rows)
    assert all(each.meaning and each.remedy for each in EXPLANATIONS.values())


_ERRORS = "docs/reference/errors.md"


def _sources() -> Iterator[ast.AST]:
    for path in (path for package in ("core", "bot") for path in (ROOT / package).rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if "    code = " in text or "problem(" in text:
            yield from ast.walk(ast.parse(text))


def _constants(error: ast.ClassDef) -> dict[str, Any]:
    """The class attributes of an error, as far as they are plain values."""
    return {
        each.targets[0].id: each.value.value
        for each in error.body
        if isinstance(each, ast.Assign)
        and isinstance(each.targets[0], ast.Name)
        and isinstance(each.value, ast.Constant)
    }


def _codes(rows: list[list[str]]) -> list[str]:
    return [name for row in rows for name in re.findall(r"`(\w+)`", row[0])]


def test_error_codes() -> None:
    """The page has exactly the codes of errors, the API and alerts, and says which errors are retried."""
    sources = list(_sources())
    errors = [fields for each in sources if isinstance(each, ast.ClassDef) if "code" in (fields := _constants(each))]
    calls = [each for each in sources if isinstance(each, ast.Call) and getattr(each.func, "id", "") == "problem"]
    of_errors = {fields["code"] for fields in errors} - {"error"} | {PROCESS_DIED}
    of_api = {str(each.args[2].value) for each in calls if isinstance(each.args[2], ast.Constant)} | {
        *_GENERAL_CODES.values()
    }
    by_heading = {
        heading: table_rows(section(_ERRORS, heading))
        for heading in re.findall(r"^## (.+)$", DOCUMENTS[_ERRORS], re.MULTILINE)
    }
    alerts = _codes(by_heading.pop("Alerts that are not errors"))
    only_api = _codes(by_heading.pop("Only in answers of the API"))
    rows = [row for each in by_heading.values() for row in each]
    assert sorted(_codes(rows)) == sorted(of_errors)
    assert sorted(only_api) == sorted(of_api - of_errors)
    assert sorted(alerts) == sorted(OF_ONE_CODE | RUN_RULES)
    assert all(meaning and remedy for _, meaning, remedy, _ in rows)
    later = {code(row[0]) for row in rows if row[3] == "yes"}
    assert later == {fields["code"] for fields in errors if fields.get("is_transient")}
    (example,) = code_blocks("docs/reference/events.md", "json")
    assert json.loads(example)["run"]["error"]["code"] in of_errors


def test_iterable_answers() -> None:
    """The page about Iterable's answers is what the table of answers generates."""
    assert DOCUMENTS["docs/reference/iterable-answers.md"] == iterable_answers.page()


def test_manifest_link() -> None:
    """The link in the guide has the manifest; `python -m tools.manifest_link` writes it."""
    guide = "docs/howto/install-in-slack.md"
    manifest = yaml.safe_load((ROOT / "manifest.yml").read_text(encoding="utf-8"))
    assert manifest_link.manifest_in(DOCUMENTS[guide]) == manifest
    assert len(manifest_link.link()) < 8_000  # a longer one is refused by some servers
    for path in (INSTALL_PATH, REDIRECT_PATH, EVENTS_PATH):
        assert path in DOCUMENTS[guide]


def test_scopes() -> None:
    """The guide explains exactly the scopes that the app requests."""
    rows = table_rows(section("docs/howto/install-in-slack.md", "One workspace, Socket Mode"))
    assert sorted(code(row[0]) for row in rows) == sorted(BOT_SCOPES)


def test_api() -> None:
    """The page on the HTTP API is what `python -m tools.api` writes from the operations."""
    assert DOCUMENTS["docs/reference/api.md"] == api.page()


def test_events() -> None:
    """The reference has exactly the events that exist, an example, and the schema of `python -m tools.events`."""
    rows = table_rows(section("docs/reference/events.md", "Events"))
    assert [code(row[0]) for row in rows] == [each.value for each in EventType]
    (example,) = code_blocks("docs/reference/events.md", "json")
    Event.model_validate_json(example)
    jsonschema_rs.validate(events.schema(), json.loads(example))
    assert events.PATH.read_text(encoding="utf-8") == events.schema_text()


def test_configuration() -> None:
    """The schema and the page of the configuration file are those that `python -m tools.configuration` writes."""
    schema = json.loads(configuration.PATH.read_text(encoding="utf-8"))
    jsonschema_rs.meta.validate(schema)
    assert configuration.PATH.read_text(encoding="utf-8") == json_schema.schema_text()
    assert DOCUMENTS["docs/reference/configuration.md"] == configuration.page()
    (example,) = code_blocks("docs/howto/configuration-as-code.md", "yaml")
    jsonschema_rs.validate(schema, document.parse(example, "example").content)


def test_formats() -> None:
    """The tables of the page on formats are those of the code; `python -m tools.formats` writes them."""
    assert formats.rendered(DOCUMENTS["docs/reference/formats.md"]) == DOCUMENTS["docs/reference/formats.md"]
    assert set(FORMATS) == set(FileFormat) - {FileFormat.ZIP}


def test_columns_of_tables() -> None:
    """The reader accepts every column name that the reference lists."""
    rows = table_rows(section("docs/reference/formats.md", "Plain table"))
    for _, names in rows:
        accepted = [name.strip(" `") for name in names.split(",")]
        assert None not in {table_columns.meaning(name) for name in accepted}, names
