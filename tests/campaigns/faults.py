"""Writes the section about Iterable in docs/reports/faults.md: the outcome of a run for each answer of Iterable in
each phase.

python -m tests.campaigns.faults

The section about Slack stays unchanged: tests/campaigns/slack_faults.py writes it.
"""

import asyncio
import tempfile
from pathlib import Path

from tests.bot.slack.fault_matrix import HEADING
from tests.core.fault_matrix import FAULTS, HEADER, PHASES, observe, observe_mixed

DOCS = Path(__file__).parents[2] / "docs" / "reports" / "faults.md"
INTRODUCTION = """\
# What happens when Iterable or Slack fails

## Iterable

Each row was observed: one run that renames placeholders, merges one, updates, removes and adds gets one answer of Iterable in one phase,
for as long as it retries (with time limits cut to moments). Then the fault passes and the run is resumed. If the run had
succeeded all the same, with rejected members, the same audience is synced again. The last column says how that ended.
`test_fault_matrix.py` of the core holds every row against the program; `python -m tests.campaigns.faults` writes this section.

In short: transient faults are retried and then fail the run, which can be resumed without loss. A refused key or list stops
the run at once. A request that is refused because of one member is split until that member is found. 429 only slows a run
down, until nothing else has come for a long time.
"""


async def main() -> None:
    """Observe all rows and write them."""
    lines = [INTRODUCTION, HEADER]
    for phase in PHASES:
        for fault in FAULTS:
            with tempfile.TemporaryDirectory() as directory:
                lines.append(str(await observe(Path(directory), phase, fault)))
            print(lines[-1], flush=True)
    with tempfile.TemporaryDirectory() as directory:
        lines.append(str(await observe_mixed(Path(directory), 0)))
    slack = DOCS.read_text(encoding="utf-8").partition(f"\n{HEADING}\n")[2]
    section = f"\n{HEADING}\n{slack}" if slack else ""
    DOCS.write_text("\n".join(lines) + f"\n{section}", encoding="utf-8")


if __name__ == "__main__":
    asyncio.run(main())
