"""Write docs/reference/api.md, which a test holds against the code: `python -m tools.api`."""

from pathlib import Path

from bot.web.api.operations import PREFIX, Operation
from bot.web.api.router import OPERATIONS, REQUESTS_A_MINUTE
from core.store.api_tokens import Scope

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "api.md"

_HEAD = f"""\
# HTTP API

`iterable-sync serve` answers at `{PREFIX}`. `{PREFIX}/openapi.json` describes every operation, parameter and object
(OpenAPI 3.1), and `{PREFIX}/docs` shows the description in a browser, also offline.
[Use the API](../howto/use-the-api.md) has examples. `python -m tools.api` writes this page from the code.

Send a token with each request: `Authorization: Bearer isync_...`.
[`iterable-sync tokens create`](cli.md#tokens) makes one, and so do admins with *API tokens* on the Home page. A token
may send {REQUESTS_A_MINUTE} requests a minute to each process. A token of a workspace sees the connections of that
workspace, as people in Slack do; a token without a workspace sees all. When a workspace removes the app, its tokens are
revoked.

"""
_SCOPES = """\
## Scopes

| scope | permits |
|---|---|
"""
_SCOPE_TEXTS = {
    Scope.READ: "see syncs, mappings, connections and alerts, without any person's data",
    Scope.RUN: "start, cancel, retry and undo syncs, repair lists, get rejected members, look people up",
    Scope.APPROVE: "approve and decline syncs; its own only if the connection allows self-approval",
    Scope.ADMIN: "change, freeze and delete mappings, change sources, schedules, rules and routes, read the audit log",
}
_ERRORS = """
## Errors

An error is a JSON object of the type `application/problem+json` ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)).
`detail` says what is wrong and what to do; `code` is a stable word; `sync_id`, `mapping_id`, `connection_id` and
`list_id` name the subject, if known.

| status | when |
|---|---|
| 400 | the request can't be carried out: for example, an audience may not be read from an address |
| 401 | there is no token, or it was revoked |
| 403 | the token lacks the scope, or may not approve this sync |
| 404 | there is no such object, or the token may not see it |
| 409 | the current state does not permit it: the sync has ended, was decided, or its plan has changed |
| 413, 415 | the body is too large, or of another media type |
| 422 | the query or the body is invalid; `faults` lists each place |
| 429 | too many requests; `Retry-After` says how long to wait |
| 502 | Iterable refused, or did not answer |
| 503 | the database can't be used now |

## Sent twice

`POST /syncs` takes an `Idempotency-Key`. A request that is sent again with the same key within a day starts no second
sync: the answer describes the first one. The same key with another content is refused with 409.

## Pages

Lists are returned in pages of up to 200 objects. `next` is the `cursor` of the next page, and null on the last one.
"""


def page() -> str:
    """Return the page."""
    scopes = "".join(f"| `{scope}` | {text} |\n" for scope, text in _SCOPE_TEXTS.items())
    return _HEAD + _SCOPES + scopes + "\n## Operations\n\n" + _operations() + _ERRORS


def _operations() -> str:
    head = "| operation | scope | what it does |\n|---|---|---|\n"
    return head + "".join(f"{_row(operation)}\n" for operation in OPERATIONS)


def _row(operation: Operation) -> str:
    text = f"{operation.summary}. {operation.description}".strip()
    return f"| `{operation.method} {operation.path}` | `{operation.scope}` | {text} |"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
