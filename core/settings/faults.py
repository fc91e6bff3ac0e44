"""What is wrong with a setting, in our words."""

from collections.abc import Sequence

from pydantic_core import ErrorDetails

#: What is wrong, by pydantic's type of the error (docs.pydantic.dev, "Validation Errors"), with the limits in its
#: context.
_FAULTS = {
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "string_type": "must be a text; put it in quotes",
    "string_pattern_mismatch": "must have the form {pattern}",
    "dict_type": "must have settings (name: value) below it",
    "model_type": "must have settings (name: value) below it",
    "tuple_type": "must be a list",
    "too_short": "must have at least {min_length} item",
    "int_from_float": "must be a whole number",
    "float_parsing": "must be a number",
    "greater_than": "must be more than {gt:g}",
    "greater_than_equal": "must be at least {ge:g}",
    "less_than_equal": "must be at most {le:g}",
    "enum": "must be {expected}",
    "literal_error": "must be {expected}",
    "string_too_short": "must not be empty",
    "string_too_long": "must have at most {max_length} characters",
    "value_error": "{error}",
}

_OUT_OF_RANGE = ("greater_than", "greater_than_equal", "less_than_equal")


def describe(fault: ErrorDetails) -> str:
    """Return what is wrong with a setting, in our words."""
    words = _FAULTS.get(fault["type"])
    return words.format_map(fault.get("ctx", {})) if words else "can't be used"


def describe_range(fault: ErrorDetails, limits: Sequence[object]) -> str:
    """Return what is wrong with a setting; for a number out of its limits, with both limits and the number.

    `limits` is the metadata of the setting's field. Other values are not repeated: they may be secret.
    """
    words = describe(fault)
    if fault["type"] not in _OUT_OF_RANGE:
        return words
    lowest, highest = (
        next((bound for each in limits if (bound := getattr(each, name, None)) is not None), None)
        for name in ("ge", "le")
    )
    if lowest is not None and highest is not None:
        words = f"must be {lowest}-{highest}"
    return f"{words} (is {fault['input']})"
