"""Writes the section about Slack in docs/faults.md: what is seen where Slack does not take a call.

python -m tests.campaigns.slack_faults [what]

With words, only the points that have them in their names are played anew.
"""

import asyncio
import sys
import tempfile
from pathlib import Path

from tests.bot.slack.fault_matrix import HEADER, HEADING, POINTS, observe, read, rows, stage

DOCS = Path(__file__).parents[2] / "docs" / "faults.md"
INTRODUCTION = """
Each row was observed: one scene of a story in which Maya proposes mappings and starts syncs that are shown in
#marketing, Amir approves, Ada is an admin, and alerts are in #sync-alerts. What passes (429, 5xx, no answer, an answer
that was lost) strikes once, what Slack refuses lasts. In no scene does a sync mind: it succeeds and its list is equal
(where the audience is a file that Slack refuses for good, once it gives it), and nothing is said twice in one place.
The last column says where it is seen, or what is said instead. `tests/bot/slack/test_fault_matrix.py` holds every row
against the program; `test_fault_connections.py`, beside it, does the same for the start, the connection and
installations, which come about as soon as Slack answers. `python -m tests.campaigns.slack_faults` writes this section.

In short: what Slack does not take for now comes later; what it does not take there comes to who started it, and what
mParticle asks to who approves, with the reason; blocks that it does not take come as text; a window that did not open
is said, because only another click opens it; and who is not known to be an admin is not taken for one.
"""


async def main(wanted: str) -> None:
    """Observe the rows and write them."""
    page, _, old = DOCS.read_text(encoding="utf-8").partition(f"\n{HEADING}\n")
    known = read(f"\n{HEADING}\n{old}")
    lines = []
    for point in POINTS:
        if wanted in point.what:
            with tempfile.TemporaryDirectory(prefix="slack-faults-") as directory:
                async with stage(Path(directory)) as made:
                    seen = {fault: await observe(made, point, fault) for fault in point.faults}
        else:
            seen = {fault: known[point.what, fault] for fault in point.faults}
        lines += rows(point, seen)
        print(*rows(point, seen), sep="\n", flush=True)
    section = "\n".join([HEADING, INTRODUCTION, HEADER, *lines])
    DOCS.write_text(f"{page.rstrip()}\n\n{section}\n", encoding="utf-8")


if __name__ == "__main__":
    asyncio.run(main(" ".join(sys.argv[1:])))
