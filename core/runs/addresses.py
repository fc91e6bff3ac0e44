"""Addresses of a run's audience: encrypted if they contain a secret, and restricted to permitted places.

An address can contain a secret: a presigned URL gives access to the file until it expires. So an address that has more
than a path is stored encrypted, and only its path is shown.
"""

import json

from core.engine import Engine
from core.models.run import Run, RunRequest
from core.sources.fetch import without_secrets
from core.store.audit_log import OPERATORS
from core.store.connections import Connection
from core.vault import Vault


def sealed(vault: Vault, request: RunRequest) -> RunRequest:
    """Return the request to store: its addresses without their secrets, and the full addresses encrypted."""
    addresses = (request.path, *request.more_paths)
    path, *more_paths = map(without_secrets, addresses)
    if (path, *more_paths) == addresses:
        return request
    secret = vault.encrypt(json.dumps(addresses)).decode("ascii")
    return request.model_copy(update={"path": path, "more_paths": tuple(more_paths), "sealed_addresses": secret})


def addresses_of(vault: Vault, request: RunRequest) -> tuple[str, ...]:
    """Return a request's full addresses. Raises SettingsError if they were encrypted with another key."""
    if request.sealed_addresses is None:
        return (request.path, *request.more_paths)
    return tuple(json.loads(vault.decrypt(request.sealed_addresses.encode("ascii"))))


def places_of(engine: Engine, run: Run, connection: Connection | None) -> tuple[str, ...] | None:
    """Return the places from which a run may read. None: any place, because the operator chose the source."""
    if (run.request.on_behalf_of or run.started_by) in (None, *OPERATORS):
        return None
    team_id = run.request.team_id or (connection.team_id if connection is not None else None)
    return engine.settings.audience_places(team_id or "")
