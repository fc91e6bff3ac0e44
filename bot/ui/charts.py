"""Charts: numbers over time as a block of Slack, as a line of Unicode bars, and as a text for those who see neither.

Slack draws the block `data_visualization` in messages only, two of them at most:
https://docs.slack.dev/reference/block-kit/blocks/data-visualization-block. On the home page, in modals and in texts,
`sparkline` is the chart.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from slack_sdk.models.blocks import Block

from bot.ui.formatting import cut

#: The type of the block.
CHART_BLOCK = "data_visualization"
#: Slack's limits.
MOST_CHARTS_OF_A_MESSAGE = 2
MOST_SERIES, MOST_POINTS, TITLE_MAX, NAME_MAX = 6, 20, 50, 20
_BARS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True, slots=True)
class Series:
    """A line or a kind of bars: its name, and a value for each category."""

    name: str
    values: Sequence[float]


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart. All series have a value for each category; the categories are in the order of the axis."""

    title: str
    kind: Literal["bar", "line", "area"]
    categories: Sequence[str]
    series: Sequence[Series]
    y_label: str | None = None


class ChartBlock(Block):
    """A chart as a block. slack-sdk has no model of it."""

    type = CHART_BLOCK

    def __init__(self, chart: Chart) -> None:
        """Take a chart with at least one point. Only its last 20 points and its first 6 series are shown."""
        super().__init__(type=CHART_BLOCK)
        categories = _distinct(chart.categories[-MOST_POINTS:])
        series = chart.series[:MOST_SERIES]
        axis: dict[str, Any] = {"categories": categories}
        if chart.y_label:
            axis["y_label"] = cut(chart.y_label, TITLE_MAX)
        self.content: dict[str, Any] = {
            "type": CHART_BLOCK,
            "title": cut(chart.title, TITLE_MAX),
            "chart": {
                "type": chart.kind,
                "series": [
                    {
                        "name": name,
                        "data": [
                            {"label": label, "value": value}
                            for label, value in zip(categories, each.values[-MOST_POINTS:], strict=True)
                        ],
                    }
                    for name, each in zip(_distinct([each.name for each in series]), series, strict=True)
                ],
                "axis_config": axis,
            },
        }

    def to_dict(self, *_args: object) -> dict[str, Any]:
        """Return the block as Slack takes it."""
        return self.content


def sparkline(values: Iterable[float]) -> str:
    """Return the course of values as a line of bars, such as ▂▃▅▇: from the least to the greatest of them."""
    numbers = list(values)
    if not numbers:
        return ""
    low, high = min(numbers), max(numbers)
    if low == high:
        return _BARS[0 if high <= 0 else len(_BARS) // 2] * len(numbers)
    return "".join(_BARS[round((each - low) / (high - low) * (len(_BARS) - 1))] for each in numbers)


def chart_text(block: dict[str, Any]) -> str:
    """Return a chart's block as text (mrkdwn): the title, and each series as bars, with its first and last value."""
    lines = [f"*{block['title']}*"]
    for series in block["chart"]["series"]:
        points = series["data"]
        first, last = points[0], points[-1]
        course = f"{first['value']:,} ({first['label']}) to {last['value']:,} ({last['label']})"
        lines.append(f"{series['name']}: {sparkline(each['value'] for each in points)} {course}")
    return "\n".join(lines)


def _distinct(names: Sequence[str]) -> list[str]:
    """Return names cut to Slack's limit, so that no two are the same: names that end alike get a number."""
    shown: list[str] = []
    for name in names:
        short, number = cut(name or "-", NAME_MAX), 2
        while short in shown:
            mark = f" ({number})"
            short, number = cut(name, NAME_MAX - len(mark)) + mark, number + 1
        shown.append(short)
    return shown
