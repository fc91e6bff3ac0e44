"""The page that shows the API's description. It is plain HTML without scripts, so it works offline."""

import html
import json
from typing import Any

from bot.web.api.operations import PREFIX

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8882; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h2 { margin-top: 2.5rem; border-bottom: 1px solid var(--line); }
details { border: 1px solid var(--line); border-radius: .4rem; margin: .5rem 0; padding: .4rem .8rem; }
summary { cursor: pointer; }
summary b { display: inline-block; min-width: 3.5rem; font-family: monospace; }
code, pre { background: var(--soft); border-radius: .3rem; padding: .1rem .3rem; overflow-wrap: anywhere; }
pre { padding: .6rem; overflow-x: auto; white-space: pre-wrap; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .25rem .5rem; border-bottom: 1px solid var(--line); }
"""


def render(description: dict[str, Any]) -> str:
    """Return the page of an OpenAPI description."""
    info = description["info"]
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>",
        f"<title>{_text(info['title'])}: API</title><style>{_STYLE}</style>",
        f"<h1>{_text(info['title'])}: API {_text(info['version'])}</h1>",
        f"<p>{_text(info['summary'])} {_marked(info['description'])}</p>",
        f"<p>{_marked(description['components']['securitySchemes']['token']['description'])}</p>",
        f"<p>The description for programs is at <a href='{PREFIX}/openapi.json'>{PREFIX}/openapi.json</a>.</p>",
        f"<pre>curl -H 'Authorization: Bearer isync_...' http://127.0.0.1:3000{PREFIX}/syncs</pre>",
    ]
    for tag in description["tags"]:
        parts.append(f"<h2>{_text(tag['name'])}</h2>")
        parts += [
            _operation(method, path, operation)
            for path, operations in description["paths"].items()
            for method, operation in operations.items()
            if tag["name"] in operation["tags"]
        ]
    parts.append("<h2>Schemas</h2>")
    parts += [_schema(name, schema) for name, schema in sorted(description["components"]["schemas"].items())]
    return "\n".join(parts)


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    rows = [
        f"<tr><td><code>{_text(each['name'])}</code> in {_text(each['in'])}<td>{_marked(each.get('description', ''))}"
        for each in operation["parameters"]
    ]
    parameters = f"<table>{''.join(rows)}</table>" if rows else ""
    body = "".join(
        f"<p>Body: <code>{_text(media)}</code> {_named(content['schema'])}"
        for media, content in operation.get("requestBody", {}).get("content", {}).items()
    )
    answers = "".join(
        f"<tr><td>{status}<td>{_marked(answer['description'])}"
        f"<td>{''.join(_named(content['schema']) for content in answer.get('content', {}).values())}"
        for status, answer in operation["responses"].items()
    )
    return (
        f"<details id={_text(operation['operationId'])}><summary><b>{method.upper()}</b> <code>{_text(path)}</code> "
        f"{_text(operation['summary'])}</summary><p>{_marked(operation['description'])}</p>{parameters}{body}"
        f"<table>{answers}</table></details>"
    )


def _schema(name: str, schema: dict[str, Any]) -> str:
    required = set(schema.get("required", ()))
    rows = "".join(
        f"<tr><td><code>{_text(member)}</code>{'' if member in required else ' (optional)'}<td>{_named(definition)}"
        f"<td>{_marked(definition.get('description', ''))}"
        for member, definition in schema.get("properties", {}).items()
    )
    values = ", ".join(f"<code>{_text(str(value))}</code>" for value in schema.get("enum", ()))
    description = _marked(" ".join(schema.get("description", "").split()))
    return (
        f"<details id=schema-{_text(name)}><summary><code>{_text(name)}</code></summary><p>{description} {values}</p>"
        f"<table>{rows}</table></details>"
    )


def _named(schema: dict[str, Any]) -> str:
    """Return the type of a schema, with a link if it has a name."""
    if reference := schema.get("$ref"):
        name = _text(reference.rpartition("/")[2])
        return f"<a href='#schema-{name}'>{name}</a>"
    if options := schema.get("anyOf"):
        return " or ".join(map(_named, options))
    if schema.get("type") == "array":
        return f"list of {_named(schema.get('items', {}))}"
    kind = schema.get("format") or schema.get("type") or json.dumps(schema.get("const", "any"))
    return _text(str(kind))


def _marked(text: str) -> str:
    """Return a text as HTML, with what is in backticks as code."""
    parts = text.split("`")
    return "".join(f"<code>{_text(part)}</code>" if number % 2 else _text(part) for number, part in enumerate(parts))


def _text(text: str) -> str:
    return html.escape(text)
