"""Block Kit as plain text, for terminals and assertions."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Sequence
from typing import Any

from sandbox.slack.workspace.models import Json, Message, View
from sandbox.slack.workspace.view_state import STATE_KEYS
from sandbox.slack.workspace.workspace import World

STATUS = {"pending": "[ ]", "in_progress": "[…]", "complete": "[x]", "error": "[!]"}


def render_text(content: Message | View | Sequence[Json] | Json, world: World | None = None) -> str:
    """Return a message, view, list of blocks or one block as plain text; `world` turns ids into names."""
    if isinstance(content, Message):
        return _message(content, world)
    if isinstance(content, View):
        return _view(content, world)
    blocks = [content] if isinstance(content, dict) else content
    return "\n".join(line for block in blocks if (line := _block(block, world)))


def plain(text: str, world: World | None = None) -> str:
    """Return mrkdwn as plain text: links and mentions spelled out, markup characters kept."""

    def spell_out(match: re.Match[str]) -> str:
        target, _, label = match[1].partition("|")
        if target[:1] == "@":
            user = world.users.get(target[1:]) if world else None
            return f"@{label or (user.real_name if user else target[1:])}"
        if target[:1] == "#":
            channel = world.channels.get(target[1:]) if world else None
            return f"#{label or (channel.name if channel else target[1:])}"
        if target.startswith("!subteam^"):  # docs.slack.dev/messaging/formatting-message-text, "Mentioning groups"
            group = world.user_groups.get(target.removeprefix("!subteam^")) if world else None
            return label or f"@{group.handle if group else target.removeprefix('!subteam^')}"
        if target[:1] == "!":
            return label or f"@{target[1:]}"
        return f"{label} ({target})" if label else target

    return html.unescape(re.sub(r"<([^<>]+)>", spell_out, text))


def _message(message: Message, world: World | None) -> str:
    lines = [render_text(message.blocks, world) if message.blocks else plain(message.text, world)]
    lines += [f"[file: {file.name}, {file.size:,} bytes]" for file in message.files]
    if message.only_for:
        lines.append("(only visible to you)")
    return "\n".join(line for line in lines if line)


def _view(view: View, world: World | None) -> str:
    lines = [f"== {view.title} ==" if view.title else "== Home =="]
    if view.problem:
        lines.append(f"! {view.problem}")
    for block in view.blocks:
        lines.append(_block(block, world, view))
        if block["block_id"] in view.errors:
            lines.append(f"! {view.errors[block['block_id']]}")
    buttons = [view.source[key]["text"] for key in ("close", "submit") if view.source.get(key)]
    lines.append(" ".join(f"({button})" for button in buttons))
    return "\n".join(line for line in lines if line)


def _text(thing: Any, world: World | None) -> str:
    if not thing:
        return ""
    if isinstance(thing, str):
        return thing
    return plain(thing["text"], world) if thing["type"] == "mrkdwn" else str(thing["text"])


def _block(block: Json, world: World | None, view: View | None = None) -> str:
    render = _BLOCKS.get(block["type"])
    return render(block, world, view) if render else f"[{block['type']}]"


def _section(block: Json, world: World | None, view: View | None) -> str:
    lines = [_text(block.get("text"), world)]
    lines += [_text(field, world).replace("\n", ": ", 1) for field in block.get("fields") or []]
    if block.get("accessory"):
        lines.append(_element(block["accessory"], block, world, view))
    return "\n".join(line for line in lines if line)


def _header(block: Json, world: World | None, view: View | None) -> str:
    return f"# {_text(block['text'], world)}"


def _divider(block: Json, world: World | None, view: View | None) -> str:
    return "---"


def _context(block: Json, world: World | None, view: View | None) -> str:
    return "  ".join(
        element["alt_text"] if element["type"] == "image" else _text(element, world) for element in block["elements"]
    )


def _actions(block: Json, world: World | None, view: View | None) -> str:
    return " ".join(_element(element, block, world, view) for element in block["elements"])


def _input(block: Json, world: World | None, view: View | None) -> str:
    optional = " (optional)" if block.get("optional") else ""
    hint = f"\n  {_text(block['hint'], world)}" if block.get("hint") else ""
    label = _text(block["label"], world)
    return f"{label}{optional}: {_element(block['element'], block, world, view)}{hint}"


def _element(element: Json, block: Json, world: World | None, view: View | None) -> str:
    kind = element["type"]
    if kind == "button":
        return f"[{_text(element['text'], world)}]"
    if kind == "overflow":
        return "[" + " | ".join(_text(option["text"], world) for option in element["options"]) + "]"
    if kind == "image":
        return f"[image: {element['alt_text']}]"
    state = None
    if view:
        state = view.values.get(block["block_id"], {}).get(element["action_id"])
    key, initial, many = STATE_KEYS[kind]
    value = state[key] if state else element.get(initial)
    values = value if many and value else [value] if value else []
    shown = ", ".join(_value(item, world) for item in values)
    if kind in ("radio_buttons", "checkboxes"):
        picked = [item["value"] for item in values]
        marks = [
            f"({'x' if option['value'] in picked else ' '}) {_text(option['text'], world)}"
            for option in element["options"]
        ]
        return " ".join(marks)
    return f"[{shown or _text(element.get('placeholder'), world) or '…'}]"


def _value(value: Any, world: World | None) -> str:
    if isinstance(value, dict):
        return str(value.get("name") or _text(value.get("text"), world))
    if world and value in world.users:
        return f"@{world.users[value].real_name}"
    if world and value in world.channels:
        return f"#{world.channels[value].name}"
    return str(value)


def _rich_text(block: Json, world: World | None, view: View | None = None) -> str:
    lines = []
    for part in block["elements"]:
        if part["type"] == "rich_text_list":
            ordered = part.get("style") == "ordered"
            lines += [
                (f"{item + 1}. " if ordered else "- ") + _parts(element["elements"], world)
                for item, element in enumerate(part["elements"])
            ]
        else:
            quoted = "> " if part["type"] == "rich_text_quote" else ""
            lines.append(quoted + _parts(part["elements"], world))
    return "\n".join(lines)


def _parts(parts: Sequence[Json], world: World | None) -> str:
    spelled = []
    for part in parts:
        if part["type"] == "user":
            spelled.append(plain(f"<@{part['user_id']}>", world))
        elif part["type"] == "channel":
            spelled.append(plain(f"<#{part['channel_id']}>", world))
        elif part["type"] == "link":
            spelled.append(part.get("text") or part["url"])
        elif part["type"] == "emoji":
            spelled.append(f":{part['name']}:")
        else:
            spelled.append(str(part.get("text") or part.get("fallback") or part.get("range") or ""))
    return "".join(spelled)


def _table(block: Json, world: World | None, view: View | None) -> str:
    rows = [
        [_rich_text(cell, world) if cell["type"] == "rich_text" else str(cell["text"]) for cell in row]
        for row in block["rows"]
    ]
    widths = [max(len(row[n]) for row in rows if n < len(row)) for n in range(max(map(len, rows)))]
    lines = ["  ".join(cell.ljust(widths[n]) for n, cell in enumerate(row)).rstrip() for row in rows]
    return "\n".join([block["caption"], *lines] if block.get("caption") else lines)


def _chart(block: Json, world: World | None, view: View | None) -> str:
    chart = block["chart"]
    series = [{"name": "", "data": chart["segments"]}] if chart["type"] == "pie" else chart["series"]
    lines = [
        f"{each['name']}: " + ", ".join(f"{point['label']} {point['value']:,}" for point in each["data"])
        for each in series
    ]
    return "\n".join([f"[{chart['type']} chart: {block['title']}]", *lines])


def _card(block: Json, world: World | None, view: View | None) -> str:
    lines = [_text(block.get(key), world) for key in ("title", "subtitle", "body")]
    lines.append(" ".join(_element(element, block, world, view) for element in block.get("actions") or []))
    return "\n".join(line for line in lines if line)


def _container(block: Json, world: World | None, view: View | None) -> str:
    title = _text(block.get("title"), world)
    if block.get("rich_text_title"):
        title = _rich_text(block["rich_text_title"], world)
    lines = [title, _text(block.get("subtitle"), world)]
    lines += [_block(child, world, view) for child in block["child_blocks"]]
    return "\n".join(line for line in lines if line)


def _task(block: Json, world: World | None, view: View | None) -> str:
    lines = [f"{STATUS[block['status']]} {block['title']}"]
    lines += ["    " + _rich_text(block[key], world) for key in ("details", "output") if block.get(key)]
    return "\n".join(lines)


def _plan(block: Json, world: World | None, view: View | None) -> str:
    return "\n".join([block["title"], *(_task(task, world, view) for task in block.get("tasks") or [])])


_BLOCKS: dict[str, Callable[[Json, World | None, View | None], str]] = {
    "section": _section,
    "header": _header,
    "divider": _divider,
    "context": _context,
    "actions": _actions,
    "input": _input,
    "rich_text": _rich_text,
    "table": _table,
    "data_table": _table,
    "data_visualization": _chart,
    "card": _card,
    "carousel": lambda block, world, view: "\n".join(_card(element, world, view) for element in block["elements"]),
    "container": _container,
    "task_card": _task,
    "plan": _plan,
    "markdown": lambda block, world, view: str(block["text"]),
    "alert": lambda block, world, view: f"({block.get('level', 'default')}) {_text(block['text'], world)}",
    "image": lambda block, world, view: f"[image: {block['alt_text']}]",
}
