"""One word for one thing: statuses and numbers of a sync in Slack, on the command line, and in the documents."""

import io
import re
from pathlib import Path

from rich.console import Console

from bot.cli import render
from bot.features.runs import result_messages
from bot.features.runs.run_view import RunView
from bot.features.status import phrases
from bot.ui.status_words import DECLINED, MAPPING_STATUSES, RUN_STATUSES, run_status
from core.models.run import CancelReason, Run, RunCounters, RunStatus
from core.reporting.run_report import RunReport
from core.store.mappings import MappingStatus
from sandbox.slack.text_renderer import render_text
from tests.bot.screens.values import AMIR, SHOP, run_of

GLOSSARY = (Path(__file__).parents[3] / "docs" / "glossary.md").read_text("utf-8")
COUNTERS = ("added", "updated", "removed", "unchanged", "duplicates", "rejected")
DECLINED_RUN = run_of(
    RunStatus.CANCELLED, cancel_reason=CancelReason.DECLINED, decided_by=AMIR, decided_at=1.0, error="Declined."
)


def rows_of(heading: str) -> list[list[str]]:
    """Return the cells of the first table below a heading of the glossary, without their marks."""
    section = GLOSSARY.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    lines = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| **")]
    return [[cell.strip("*`") for cell in cells] for cells in lines]


def on_terminal(run: Run) -> str:
    """Return the summary of a run on the command line."""
    written = io.StringIO()
    Console(file=written, width=200).print(render.summary(RunReport.of(run, {"no_email": 6}), run))
    return written.getvalue()


def test_statuses() -> None:
    """Slack, the command line and the glossary call each status of a sync the same; none is missing."""
    assert set(RUN_STATUSES) == set(RunStatus)
    documented = {(word, status) for word, _, status in rows_of("Statuses")}
    assert documented == {(word, status.value) for status, word in RUN_STATUSES.items()} | {(DECLINED, "cancelled")}
    for run in [*(run_of(status) for status in RunStatus), DECLINED_RUN]:
        word = run_status(run)
        assert phrases.status_words(run).startswith(word)
        assert f"Run abc {word.lower()}: " in on_terminal(run)


def test_statuses_of_mappings() -> None:
    """The glossary names each status of a mapping."""
    assert set(MAPPING_STATUSES) == set(MappingStatus)
    (line,) = re.findall(r"A mapping is .*", GLOSSARY)
    assert set(re.findall(r"\*\*(.*?)\*\*", line)) == set(MAPPING_STATUSES.values())


def test_numbers() -> None:
    """Slack, the command line and the glossary call the numbers of a sync the same."""
    assert [word for word, _ in rows_of("Numbers of a sync")] == list(COUNTERS)
    assert set(COUNTERS) == set(RunCounters.model_fields) - {"members", "left"}
    numbers = {name: 11 * (place + 1) for place, name in enumerate(COUNTERS)}
    run = run_of(RunStatus.SUCCEEDED, counters=RunCounters(members=sum(numbers.values()), **numbers))
    message = result_messages.summary(RunView(run, SHOP, "Spring shoppers", {"no_email": numbers["rejected"]}))
    in_slack = render_text(message.payload()["blocks"]) + phrases.counts_line(run)
    for name, count in numbers.items():
        assert f"{count} {name}" in in_slack
        assert re.search(rf"{count} +{name}", on_terminal(run))
