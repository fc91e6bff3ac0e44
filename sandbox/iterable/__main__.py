"""`python -m sandbox.iterable --port P`: runs a local Iterable until Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
import sys
from typing import Final

from sandbox.iterable.lifecycle import Running, serve
from sandbox.iterable.state import PROJECT_TYPES

#: The settings (`sandbox.iterable.settings`) that the command line can change: defaults and help.
SETTINGS: Final[dict[str, tuple[float | bool, str]]] = {
    "list_ready_after": (0.0, "until a new list can be used"),
    "membership_after": (0.0, "until members show in sizes and lists of users"),
    "single_calls_after": (0.0, "until a single-user call takes effect, and bulk calls overtake it"),
    "merge_keeps_lists": (False, "a merge carries the lists of the source over"),
}


def main() -> int:
    """Parse the command line and serve."""
    parser = argparse.ArgumentParser(
        prog="python -m sandbox.iterable",
        description="A local Iterable.",
        epilog="Addresses at invalid.test, forgotten.test, conflict.test, notfound.test, unattributed.test and "
        "poison.test have the outcome of that name. A request with one at crash.test is answered with 500.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at (127.0.0.1)")
    parser.add_argument("--port", type=int, default=0, help="port, 0 for a free one (0)")
    parser.add_argument(
        "--bulk-per-second", type=float, default=5, help="limit for subscribe and unsubscribe, 0 for none (5)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed for faults with a probability (0)")
    parser.add_argument("--lean", action="store_true", help="count people instead of keeping them")
    parser.add_argument("--project-type", choices=PROJECT_TYPES, default="email", help="type of the project (email)")
    parser.add_argument(
        "--forget", action="append", default=[], metavar="EMAIL", help="a forgotten person of the first project; repeat"
    )
    for name, (default, text) in SETTINGS.items():
        option = f"--{name.replace('_', '-')}"
        if isinstance(default, bool):
            parser.add_argument(option, action="store_true", help=text)
        else:
            parser.add_argument(option, type=float, default=default, metavar="SECONDS", help=f"{text} ({default:g})")
    given = parser.parse_args()
    try:
        asyncio.run(
            serve(
                given.port,
                host=given.host,
                bulk_per_second=given.bulk_per_second,
                lean=given.lean,
                seed=given.seed,
                project_type=given.project_type,
                settings={name: getattr(given, name) for name in SETTINGS},
                forgotten=given.forget,
                ready=_announce,
            )
        )
    except OSError as exc:
        sys.stderr.write(f"can't listen at {given.host}:{given.port}: {exc.strerror or exc}\n")
        return 1
    return 0


def _announce(iterable: Running) -> None:
    sys.stdout.write(f"Local Iterable: {iterable.url}\nApi-Key: {iterable.key}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
