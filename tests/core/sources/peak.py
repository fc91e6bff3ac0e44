"""Read files, and tell what became of each and how much memory that took: peak.py DIR FILE ..."""

import json
import sys
from pathlib import Path

from tests.core.sources.oracle import planning_workspace, read_or_refuse


def peak_mb() -> int:
    """The most memory that this process has held since the last reset."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024


def reset() -> None:
    """Begin to measure anew."""
    Path("/proc/self/clear_refs").write_text("5")


if __name__ == "__main__":
    for name in sys.argv[2:]:
        reset()
        with planning_workspace(Path(sys.argv[1]), threads=2) as con:
            outcome = read_or_refuse(Path(name), con)
        print(json.dumps({"name": Path(name).name, "outcome": str(outcome), "peak_mb": peak_mb()}))
