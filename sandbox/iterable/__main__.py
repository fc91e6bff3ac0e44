"""`python -m sandbox.iterable --port P`: runs a local Iterable until Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
import sys

from sandbox.iterable.lifecycle import Running, serve
from sandbox.iterable.state import PROJECT_TYPES


def main() -> int:
    """Parse the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.iterable", description="A local Iterable.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at (127.0.0.1)")
    parser.add_argument("--port", type=int, default=0, help="port, 0 for a free one (0)")
    parser.add_argument(
        "--bulk-per-second", type=int, default=5, help="limit for subscribe and unsubscribe, 0 for none (5)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed for faults with a probability (0)")
    parser.add_argument("--lean", action="store_true", help="count people instead of keeping them")
    parser.add_argument("--project-type", choices=PROJECT_TYPES, default="email", help="type of the project (email)")
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
