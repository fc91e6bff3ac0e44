"""Charts: what Slack accepts, and what is read where it draws none."""

from bot.ui.blocks import Message, as_text, header, section
from bot.ui.charts import Chart, ChartBlock, Series, sparkline
from sandbox.slack.validation import message_problems, view_problems


def chart(points: int, names: list[str]) -> ChartBlock:
    """A chart with so many points, and a line of each name."""
    categories = [f"Monday, 2026-01-{number:02}" for number in range(points)]
    series = [Series(name, range(points)) for name in names]
    return ChartBlock(Chart("How large the lists are, over the last weeks and months", "line", categories, series))


def test_slack_accepts_any_chart() -> None:
    """Long titles, names and series, and names that are the same once they are cut, become a chart that Slack takes."""
    for block in (
        chart(1, [""]),
        chart(30, ["Spring shoppers of last year", "Spring shoppers of last week", "Gold", "Gold", *"abcd"]),
    ):
        assert message_problems([block.to_dict()]) == []
    (series,) = chart(30, ["x"]).to_dict()["chart"]["series"]
    assert (series["data"][0]["label"], len(series["data"])) == ("Monday, 2026-01-10", 20), "the newest points"
    home = {"type": "home", "blocks": [chart(1, ["x"]).to_dict()]}
    assert [each.at for each in view_problems(home, "home")] == ["/view/blocks/0/type"], (
        "Slack draws charts in messages only"
    )


def test_sparkline() -> None:
    """A line of bars goes from the least value to the greatest; equal values are in the middle, and zeros at the
    bottom."""
    assert sparkline([1, 2, 8, 4.5]) == "▁▂█▅"
    assert (sparkline([7, 7]), sparkline([0, 0]), sparkline([])) == ("▅▅", "▁▁", "")


def test_text_of_a_chart() -> None:
    """A message that Slack shows without blocks has the charts as text, in their place."""
    lists = Chart("List sizes", "line", ["Mon", "Tue"], [Series("Gold", [4_700, 4_900]), Series("Club", [3, 1])])
    text = as_text(Message("Weekly report", [header("Weekly report"), ChartBlock(lists), section("Details")]))["text"]
    assert text.splitlines() == [
        "Weekly report",
        "*List sizes*",
        "Gold: ▁█ 4,700 (Mon) to 4,900 (Tue)",
        "Club: █▁ 3 (Mon) to 1 (Tue)",
        "Details",
    ]
