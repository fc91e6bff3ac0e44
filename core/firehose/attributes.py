"""User attributes in membership changes, as far as they are data fields of the mapping.

mParticle sends them with audiences if the registration asks for them and the connection shares them. The shape follows
its Firehose SDK (`UserAttributeAudienceEvent`).
"""

from typing import Any

import orjson

from core.models.data_fields import DataFields
from core.sources.field_columns import LONGEST_VALUE

# The value of an attribute that was deleted, and of one that is too long (core/sources/field_columns.py).
_DELETED, _TOO_LONG = "n", "l"


def values_of(attributes: Any, fields: DataFields) -> dict[str, str]:
    """Return the values of the attributes that are data fields, by their name in the mapping.

    The values are those of core/sources/field_columns.py. Attributes of another shape are left out, and so are empty
    ones.
    """
    wanted = {source.casefold(): source for source in fields}
    values = {}
    for attribute in attributes if isinstance(attributes, list) else ():
        if not isinstance(attribute, dict):
            continue
        source = wanted.get(str(attribute.get("key")).casefold())
        value = None if source is None else _value(attribute)
        if source is not None and value is not None:
            values[source] = value
    return values


def _value(attribute: dict[str, Any]) -> str | None:
    if attribute.get("action") == "delete":
        return _DELETED
    value, items = attribute.get("value"), attribute.get("list_value")
    if isinstance(items, list):
        text = "j" + orjson.dumps([str(item) for item in items if item is not None]).decode()
    elif isinstance(value, str | int | float) and str(value).strip():
        text = f"t{value}"
    else:
        return None
    return text if len(text.encode()) <= LONGEST_VALUE else _TOO_LONG
