"""Charts: the `data_visualization` block.

Slack: https://docs.slack.dev/reference/block-kit/blocks/data-visualization-block (since June 16, 2026): a title of up
to 50 characters; a pie with 1 to 6 segments, or a bar, area or line chart with 1 to 6 series of 1 to 20 points. The
labels of points are the categories of the axis, in their order. Messages only, two of them at most.
"""

from __future__ import annotations

from typing import Any

from sandbox.slack.validation.checker import Checker

MOST_SERIES, MOST_POINTS, MOST_CHARTS = 6, 20, 2
_NAME, _TITLE = 20, 50


def check_chart(check: Checker, block: dict[str, Any], at: str) -> None:
    """Check a data_visualization block."""
    check.string(block.get("title"), f"{at}/title", _TITLE, 1)
    chart, place = block.get("chart"), f"{at}/chart"
    if not isinstance(chart, dict):
        check.add(place, "must provide an object")
    elif chart.get("type") == "pie":
        check.keys(chart, place, ("segments",), ())
        for number, segment in enumerate(check.items(chart.get("segments"), f"{place}/segments", MOST_SERIES)):
            _check_point(check, segment, f"{place}/segments/{number}", least=1)
    elif chart.get("type") in ("bar", "area", "line"):
        check.keys(chart, place, ("series", "axis_config"), ())
        _check_series(check, chart, place)
    else:
        check.add(f"{place}/type", "must be one of: pie, bar, area, line")


def _check_series(check: Checker, chart: dict[str, Any], at: str) -> None:
    axis = chart.get("axis_config")
    axis = axis if isinstance(axis, dict) else {}
    check.keys(axis, f"{at}/axis_config", ("categories",), ("x_label", "y_label"))
    categories = check.items(axis.get("categories"), f"{at}/axis_config/categories", MOST_POINTS)
    for number, category in enumerate(categories):
        check.string(category, f"{at}/axis_config/categories/{number}", _NAME, 1)
    check.unique(((f"{at}/axis_config/categories", str(each)) for each in categories), "category")
    for name in ("x_label", "y_label"):
        check.string(axis.get(name), f"{at}/axis_config/{name}", _TITLE, 1)
    listed = check.items(chart.get("series"), f"{at}/series", MOST_SERIES)
    for number, series in enumerate(listed):
        place = f"{at}/series/{number}"
        if not isinstance(series, dict):
            check.add(place, "must provide an object")
            continue
        check.keys(series, place, ("name", "data"), ())
        check.string(series.get("name"), f"{place}/name", _NAME, 1)
        points = check.items(series.get("data"), f"{place}/data", MOST_POINTS)
        for index, point in enumerate(points):
            _check_point(check, point, f"{place}/data/{index}")
        if [point.get("label") for point in points if isinstance(point, dict)] != categories:
            check.add(f"{place}/data", "labels must match axis_config.categories")
    names = [str(series.get("name")) for series in listed if isinstance(series, dict)]
    check.unique(((f"{at}/series", name) for name in names), "series name")


def _check_point(check: Checker, point: Any, at: str, least: float | None = None) -> None:
    if not isinstance(point, dict):
        check.add(at, "must provide an object")
        return
    check.keys(point, at, ("label", "value"), ())
    check.string(point.get("label"), f"{at}/label", _NAME, 1)
    value = point.get("value")
    if isinstance(value, bool) or not isinstance(value, int | float):
        check.add(f"{at}/value", "must be a number")
    elif least is not None and value < least:
        check.add(f"{at}/value", "must be more than 0")
