"""Firehose messages in every shape that mParticle's schemas allow, and what its schemas require of the answers.

Written from the facts: the fields of a message, which of them are required, and their values. An optional field is
absent, null or present; unknown fields may be present as well.
"""

from typing import Any

from hypothesis import strategies as st

Json = dict[str, Any]

_TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
_NUMBER = st.integers(-(2**63), 2**63 - 1)
_UNKNOWN = st.dictionaries(st.just("from_the_future"), st.none() | st.booleans() | st.lists(_TEXT, max_size=2))
_SETTINGS = st.dictionaries(st.sampled_from(["apiKey", "userIdField", "listId", "else"]), _TEXT, max_size=3)
_IDENTITY_TYPES = st.sampled_from(["other", "customer", "facebook", "email", "other10", "mobile_number"])
_ENCODINGS = st.sampled_from(["raw", "md5", "sha1", "sha256"])


def _object(
    required: dict[str, st.SearchStrategy[Any]], optional: dict[str, st.SearchStrategy[Any]] | None = None
) -> Any:
    others = st.fixed_dictionaries({}, optional={name: st.none() | value for name, value in (optional or {}).items()})
    sections = st.tuples(st.fixed_dictionaries(required), others, _UNKNOWN)
    return sections.map(lambda parts: {**parts[2], **parts[1], **parts[0]})


_IDENTITY = _object({"type": _IDENTITY_TYPES, "encoding": _ENCODINGS, "value": _TEXT})
_ACCOUNT = _object({"account_id": _NUMBER}, {"account_settings": _SETTINGS})
_ATTRIBUTE = _object({"key": _TEXT, "action": st.sampled_from(["upsert", "delete"])}, {"value": _TEXT})
_AUDIENCE = _object(
    {
        "audience_id": _NUMBER,
        "audience_name": _TEXT,
        "action": st.sampled_from(["add", "delete", "attribute_update"]),
    },
    {"audience_subscription_settings": _SETTINGS, "user_attributes": st.lists(_ATTRIBUTE, max_size=1)},
)
_PROFILE = _object(
    {},
    {
        "mpid": _NUMBER.map(str) | _TEXT,
        "user_identities": st.lists(_IDENTITY, max_size=3),
        "device_identities": st.lists(_IDENTITY, max_size=1),
        "partner_identities": st.lists(_IDENTITY, max_size=1),
        "audiences": st.lists(_AUDIENCE, max_size=2),
    },
)


def _message(kind: str, required: dict[str, Any] | None = None, optional: dict[str, Any] | None = None) -> Any:
    common = {
        "type": st.just(kind),
        "id": st.uuids().map(str),
        "timestamp_ms": _NUMBER,
        "firehose_version": _TEXT,
    }
    return _object({**common, **(required or {})}, optional)


REGISTRATION = _message("module_registration_request")
SUBSCRIPTION = _message(
    "audience_subscription_request",
    {
        "account": _ACCOUNT,
        "audience_id": _NUMBER,
        "audience_name": _TEXT,
        "action": st.sampled_from(["add", "update", "remove"]),
    },
    {
        "audience_description": _TEXT,
        "audience_subscription_settings": _SETTINGS,
        "previous_audience_subscription_settings": _SETTINGS,
    },
)
MEMBERSHIP = _message(
    "audience_membership_change_request", {"account": _ACCOUNT}, {"user_profiles": st.lists(_PROFILE, max_size=3)}
)
ERASURE = _message(
    "dsr_processing_request",
    {"account": _ACCOUNT},
    {
        "subject_request_id": _TEXT,
        "subject_request_type": st.just("erasure"),
        "submitted_time": _TEXT | _NUMBER,
        "subject_identities": st.dictionaries(
            st.sampled_from(["email", "mpid", "customer_id", "else"]),
            _object({"encoding": st.just("raw"), "value": _TEXT}),
            max_size=2,
        ),
        "api_version": _TEXT,
        "regulation": st.sampled_from(["unknown", "ccpa", "gdpr"]),
    },
)
EVENTS = _message("event_processing_request", {"account": _ACCOUNT}, {"events": st.lists(_UNKNOWN, max_size=2)})

ANY = st.one_of(REGISTRATION, SUBSCRIPTION, MEMBERSHIP, ERASURE, EVENTS)


_ENVELOPE: Json = {
    "type": "object",
    "required": ["type", "id", "timestamp_ms", "firehose_version"],
    "properties": {
        "id": {"type": "string", "pattern": "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"},
        "timestamp_ms": {"type": "integer"},
        "firehose_version": {"type": "string"},
    },
}
_STRINGS: Json = {"type": "object", "additionalProperties": {"type": "string"}}
_PERMISSION: Json = {
    "type": "object",
    "required": ["type", "encoding"],
    "properties": {
        "type": {"enum": ["email", "customer"]},
        "encoding": {"const": "raw"},
        "required": {"type": "boolean"},
    },
}
_SETTING: Json = {
    "type": "object",
    "required": ["id", "name"],
    "properties": {
        "type": {"enum": ["text", "integer", "float", "boolean"]},
        "visible": {"type": "boolean"},
        "id": {"type": "string"},
        "name": {"type": "string"},
        "description": {"type": "string"},
    },
}
_REQUESTED_SETTINGS: Json = {"type": "array", "items": _SETTING}


def _answer(kind: str, required: tuple[str, ...] = (), **properties: Json) -> Json:
    return {
        **_ENVELOPE,
        "required": [*_ENVELOPE["required"], *required],
        "properties": {**_ENVELOPE["properties"], "type": {"const": kind}, **properties},
        "additionalProperties": False,
    }


#: The required shape of the answer to each type of request.
ANSWERS: dict[str, Json] = {
    "module_registration_request": _answer(
        "module_registration_response",
        ("name", "version", "description", "permissions", "audience_processing_registration"),
        name={"type": "string"},
        version={"type": "string"},
        description={"type": "string", "maxLength": 229},
        permissions={
            "type": "object",
            "properties": {
                "user_identities": {"type": "array", "items": _PERMISSION},
                "allow_access_mpid": {"const": True},
            },
            "additionalProperties": False,
        },
        audience_processing_registration={
            "type": "object",
            "properties": {
                "account_settings": _REQUESTED_SETTINGS,
                "audience_subscription_settings": _REQUESTED_SETTINGS,
                "bulk_configuration": {
                    "type": "object",
                    "properties": {
                        "bulk_forward_wait_for_messages": {"type": "integer"},
                        "bulk_forward_wait_in_minutes": {"type": "integer"},
                    },
                    "additionalProperties": False,
                },
            },
            "additionalProperties": False,
        },
        dsr_processing_registration={
            "type": "object",
            "properties": {
                "account_settings": _REQUESTED_SETTINGS,
                "supported_dsr_types": {"type": "array", "items": {"const": "erasure"}},
                "domain": {"type": "string"},
            },
            "additionalProperties": False,
        },
    ),
    "audience_subscription_request": _answer("audience_subscription_response", audience_subscription_settings=_STRINGS),
    "audience_membership_change_request": _answer(
        "audience_membership_change_response", suspend_subscription={"type": "boolean"}
    ),
    "dsr_processing_request": _answer("dsr_processing_response"),
    "event_processing_request": _answer("event_processing_response", suspend_subscription={"type": "boolean"}),
}
