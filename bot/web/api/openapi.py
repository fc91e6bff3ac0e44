"""The OpenAPI 3.1 description of the API, made from its operations. See https://spec.openapis.org/oas/v3.1.0."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from bot.web.api.operations import PREFIX, Operation
from bot.web.api.problems import MEDIA_TYPE, Problem
from core.store.api_tokens import Scope

#: The version of the API. It changes when an operation changes in a way that breaks clients.
VERSION = "1.0.0"

_REFERENCE = "#/components/schemas/{model}"
_PARAMETER = re.compile(r"{(\w+)}")
# The errors that every operation can answer.
_COMMON_ERRORS = (400, 401, 403, 422, 429, 503)
# And those of an operation with a body.
_BODY_ERRORS = (408, 413, 415)
_ERRORS = {
    400: "The request can't be carried out.",
    401: "There is no token, or it was revoked.",
    403: "The token lacks the scope.",
    404: "There is no such object, or the token may not see it.",
    408: "The request did not arrive in time.",
    409: "The current state does not permit this.",
    413: "The body is too large.",
    415: "The body has another media type.",
    422: "The query or the body is invalid.",
    429: "The token has sent too many requests. `Retry-After` says how long to wait.",
    502: "Iterable refused, or did not answer.",
    503: "The database can't be used now.",
}


def describe(operations: Sequence[Operation]) -> dict[str, Any]:
    """Return the description of these operations as a JSON object."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(PREFIX + operation.path, {})[operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Iterable Sync",
            "version": VERSION,
            "summary": "Keep an Iterable list equal to an mParticle audience.",
            "description": "Send a token with each request. Errors are problem details (RFC 9457) with stable `code`s.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name} for name in dict.fromkeys(operation.tag for operation in operations)],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": _schemas(operations),
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "`iterable-sync tokens create NAME` makes a token. Scopes: "
                    + ", ".join(f"`{scope}`" for scope in Scope)
                    + ".",
                }
            },
        },
    }


def _operation(operation: Operation) -> dict[str, Any]:
    success: dict[str, Any] = {"description": operation.summary + "."}
    if operation.result is not None:
        success["content"] = {"application/json": {"schema": _reference(operation.result)}}
    elif operation.media is not None:
        success["content"] = {operation.media: {"schema": {"type": "string"}}}
    errors = sorted({*_COMMON_ERRORS, *operation.errors, *(_BODY_ERRORS if operation.body else ())})
    described: dict[str, Any] = {
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": f"{operation.description} Needs the scope `{operation.scope}`.".strip(),
        "security": [{"token": [operation.scope.value]}],
        "parameters": _parameters(operation),
        "responses": {str(operation.status): success}
        | {
            str(status): {
                "description": _ERRORS[status],
                "content": {MEDIA_TYPE: {"schema": _reference(Problem)}},
            }
            for status in errors
        },
    }
    if operation.body is not None:
        described["requestBody"] = {"required": True, "content": _body(operation, operation.body)}
    return described


def _parameters(operation: Operation) -> list[dict[str, Any]]:
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _PARAMETER.findall(operation.path)
    ]
    if operation.query is not None:
        schema = operation.query.model_json_schema(ref_template=_REFERENCE)
        for name, definition in schema["properties"].items():
            text = definition.pop("description", "")
            parameters.append(
                {
                    "name": name,
                    "in": "query",
                    "required": name in schema.get("required", ()),
                    "description": text,
                    "schema": definition,
                }
            )
    parameters += [
        {"name": name, "in": "header", "required": False, "description": text, "schema": {"type": "string"}}
        for name, text in operation.headers.items()
    ]
    return parameters


def _body(operation: Operation, body: type[BaseModel]) -> dict[str, Any]:
    content: dict[str, Any] = {"application/json": {"schema": _reference(body)}}
    if operation.multipart:
        content["multipart/form-data"] = {
            "schema": {
                "type": "object",
                "required": ["request", "file"],
                "properties": {
                    "request": _reference(body),
                    "file": {
                        "type": "array",
                        "items": {"type": "string", "contentMediaType": "application/octet-stream"},
                    },
                },
            },
            "encoding": {"request": {"contentType": "application/json"}},
        }
    return content


def _schemas(operations: Iterable[Operation]) -> dict[str, Any]:
    models: dict[type[BaseModel], None] = {Problem: None}
    for operation in operations:
        # a query's own schema is not referred to, but the enumerations in it are
        models |= dict.fromkeys(model for model in (operation.result, operation.body, operation.query) if model)
    inputs = {operation.body for operation in operations} | {operation.query for operation in operations}
    _, schema = models_json_schema(
        [(model, "validation" if model in inputs else "serialization") for model in models], ref_template=_REFERENCE
    )
    queries = {operation.query.__name__ for operation in operations if operation.query}
    return {name: definition for name, definition in schema["$defs"].items() if name not in queries}


def _reference(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": _REFERENCE.format(model=model.__name__)}
