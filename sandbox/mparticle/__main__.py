"""`python -m sandbox.mparticle --port P`: runs mParticle's platform API until Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
import sys

from sandbox.mparticle.lifecycle import serve


def main() -> int:
    """Parse the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.mparticle", description="mParticle's platform API.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at (127.0.0.1)")
    parser.add_argument("--port", type=int, default=0, help="port, 0 for a free one (0)")
    given = parser.parse_args()
    try:
        asyncio.run(serve(given.port, host=given.host, ready=lambda text: print(text, flush=True)))
    except OSError as exc:
        sys.stderr.write(f"can't listen at {given.host}:{given.port}: {exc.strerror or exc}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
