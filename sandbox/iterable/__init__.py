"""A local Iterable: a server that behaves like Iterable's API, in memory, with faults on demand.

`running()` for tests, `serve()` for a process, `python -m sandbox.iterable` from a shell. The outcome of
each address is in `scripted_outcomes`, the faults are in `faults`, and the control API over HTTP is in `admin_api`.
"""

from sandbox.iterable.faults import Fault, Faults
from sandbox.iterable.lifecycle import Running, running, serve
from sandbox.iterable.rate_limits import Limit
from sandbox.iterable.server import app
from sandbox.iterable.settings import Settings
from sandbox.iterable.state import DEFAULT_KEY, HYBRID_KEY, USER_ID_KEY, ProjectType, State

__all__ = [
    "DEFAULT_KEY",
    "HYBRID_KEY",
    "USER_ID_KEY",
    "Fault",
    "Faults",
    "Limit",
    "ProjectType",
    "Running",
    "Settings",
    "State",
    "app",
    "running",
    "serve",
]
