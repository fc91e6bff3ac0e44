"""Writes the section about Slack in docs/reports/faults.md: what people see if Slack refuses a call.

python -m tests.campaigns.slack_faults [NAME]

With a NAME, only the points with that text in their names are played again.
"""

import asyncio
import sys
import tempfile
from pathlib import Path

from tests.bot.slack.fault_matrix import HEADER, HEADING, POINTS, observe, read, rows, stage

DOCS = Path(__file__).parents[2] / "docs" / "reports" / "faults.md"
INTRODUCTION = """
Each row was observed: one scene of a story in which Maya proposes mappings and starts syncs that are shown in #marketing, Amir
approves, Ada is an admin, and alerts go to #sync-alerts. Transient faults (429, 5xx, no answer, a lost answer) happen once;
refusals last. No scene affects a sync: it succeeds and its list is equal (if the audience is a file that Slack refuses, once
Slack gives it), and nothing is posted twice in one place. The last column says where the message is visible, or what appears
instead. `test_fault_matrix.py` of the bot holds every row against the program; `test_fault_connections.py` next to it does
the same for the start, the connection and installations, which succeed as soon as Slack answers.
`python -m tests.campaigns.slack_faults` writes this section.

In short: a message that Slack refuses for now comes later. A message that can't be posted in its channel goes to the person
who started the run, and a question from mParticle goes to the approvers, with the reason. Blocks that Slack refuses come as
text. If a modal did not open, a message says so, because only another click opens it. A person who is not known to be an
admin is not treated as one.
"""


async def main(words: str) -> None:
    """Observe the rows and write them."""
    page, _, old = DOCS.read_text(encoding="utf-8").partition(f"\n{HEADING}\n")
    known = read(f"\n{HEADING}\n{old}")
    lines = []
    for point in POINTS:
        if words in point.name:
            with tempfile.TemporaryDirectory(prefix="slack-faults-") as directory:
                async with stage(Path(directory)) as scene_stage:
                    outcomes = {fault: await observe(scene_stage, point, fault) for fault in point.faults}
        else:
            outcomes = {fault: known[point.name, fault] for fault in point.faults}
        lines += rows(point, outcomes)
        print(*rows(point, outcomes), sep="\n", flush=True)
    section = "\n".join([HEADING, INTRODUCTION, HEADER, *lines])
    DOCS.write_text(f"{page.rstrip()}\n\n{section}\n", encoding="utf-8")


if __name__ == "__main__":
    asyncio.run(main(" ".join(sys.argv[1:])))
