"""Read files and print the outcome and the peak memory of each: peak.py DIR FILE ..."""

import json
import sys
from pathlib import Path

from tests.core.sources.oracle import planning_workspace, read_or_refuse


def peak_mb() -> int:
    """The peak memory of this process since the last reset, in MB."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024


def reset() -> None:
    """Reset the peak memory."""
    Path("/proc/self/clear_refs").write_text("5")


if __name__ == "__main__":
    for name in sys.argv[2:]:
        reset()
        with planning_workspace(Path(sys.argv[1]), threads=2) as con:
            outcome = read_or_refuse(Path(name), con)
        print(json.dumps({"name": Path(name).name, "outcome": str(outcome), "peak_mb": peak_mb()}))
