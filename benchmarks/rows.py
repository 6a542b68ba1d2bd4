"""One row of a benchmark's table: what was measured, beside a stock tool or the bare machine."""

from typing import Any

Row = dict[str, Any]


def row(
    measure: str,
    value: float,
    baseline: float | None,
    *,
    note: str,
    at_most: float | None = None,
    at_least: float | None = None,
    bar_on: str = "value",
) -> Row:
    """A row of benchmarks/results/NAME.json; the bar is on the value or on the ratio to the baseline."""
    ratio = value / baseline if baseline else None
    judged = ratio if bar_on == "ratio" else value
    assert judged is not None
    bars = {"<=": at_most, ">=": at_least}
    sign, bar = next(((sign, bar) for sign, bar in bars.items() if bar is not None), (None, None))
    return {
        "measure": measure,
        "value": round(value, 3),
        "baseline": baseline and round(baseline, 3),
        "ratio": ratio and round(ratio, 3),
        "bar": bar and f"{bar_on} {sign} {bar}",
        "holds": None if bar is None else (judged <= bar if sign == "<=" else judged >= bar),
        "note": note,
    }
