"""Data fields: columns of a table, or attributes of a profile in mParticle, that a mapping sends to Iterable.

A mapping chooses them as pairs: the name in the source, and the name of the field in Iterable. Nothing is sent that is
not chosen.
"""

import re
from collections.abc import Mapping, Sequence

from core.errors import InputError

#: The data fields of a mapping: names of fields in Iterable, keyed by the names in the source.
DataFields = Mapping[str, str]

#: The fields that a mapping may have at most: as many as a menu in Slack can show.
MOST_FIELDS = 100

#: mParticle's attribute for a phone number. mParticle's hosted extension sends it as Iterable's `phoneNumber`, without
#: anything but digits and plus signs (its public source, version 1.6.0).
MOBILE, PHONE_NUMBER = "$Mobile", "phoneNumber"

#: How the explanation of a rejection begins that we, not Iterable, give: the rest names the field and says what it has.
FIELD_WORDS = "Data field"

# Fields that Iterable maintains, or that decide who a person is and what they receive.
_RESERVED = frozenset(
    {
        "email",
        "userid",
        "itbluserid",
        "itblinternal",
        "emaillistids",
        "userlistids",
        "unsubscribedchannelids",
        "unsubscribedmessagetypeids",
        "subscribedmessagetypeids",
        "signupdate",
        "signupsource",
        "profileupdatedat",
        "devices",
        "browsertokens",
    }
)
# A period separates the names of nested fields.
_NAME = re.compile(r"[^\W\d][\w $-]{0,99}")


def parse_fields(choices: Sequence[str]) -> dict[str, str]:
    """Return the data fields of choices in the form `COLUMN=FIELD`, or `COLUMN` if both have one name.

    Raises InputError if a choice has another form, if a name can't be a field, or if two columns are the same field.
    """
    fields: dict[str, str] = {}
    for choice in choices:
        source, equals, name = (part.strip() for part in choice.rpartition("="))
        if not equals:
            source, name = name, field_name(name)
        if not source or not name:
            raise InputError(f"Choose data fields with COLUMN=FIELD, not with {choice!r}.")
        if source.casefold() in (known.casefold() for known in fields):
            raise InputError(f"The column {source} is chosen twice as a data field. Choose it once.")
        fields[source] = name
    return check_fields(fields)


def field_name(source: str) -> str:
    """Return the name that a column or attribute has in Iterable, unless a person chooses another."""
    return PHONE_NUMBER if source.casefold() == MOBILE.casefold() else source


def check_fields(fields: DataFields) -> dict[str, str]:
    """Return data fields in the order of their names in Iterable. Raises InputError if one can't be sent."""
    if len(fields) > MOST_FIELDS:
        raise InputError(f"A mapping has at most {MOST_FIELDS} data fields, not {len(fields)}.")
    names = [name.casefold() for name in fields.values()]
    for source, name in fields.items():
        if not _NAME.fullmatch(name):
            raise InputError(
                f"{name!r} can't be the name of a data field: it begins with a letter and has letters, digits, spaces "
                f"and _ $ -. Choose another name: {source}=NAME."
            )
        if name.casefold() in _RESERVED:
            raise InputError(f"{name} is a field that Iterable maintains itself. Choose another name: {source}=NAME.")
        if names.count(name.casefold()) > 1:
            raise InputError(f"Two columns are to become the data field {name}. Choose one of them.")
    return dict(sorted(fields.items(), key=lambda pair: pair[1]))


def fields_text(fields: DataFields) -> str:
    """Return data fields for people: `Plan as plan, city`."""
    return ", ".join(name if source == name else f"{source} as {name}" for source, name in fields.items())
