"""The course of accuracy over batches, as coordinates of a small drawing."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

WIDTH, HEIGHT, MARGIN = 640, 170, 14
"""Of the drawing, in its own units."""


class Point(NamedTuple):
    """A batch in the drawing: its place, its interval's ends, and what it is in words."""

    x: float
    y: float
    high: float
    low: float
    alarm: bool
    text: str


class Trend(NamedTuple):
    """Points from the oldest to the newest, the height of what is usual, and the axis' ends."""

    points: list[Point]
    usual: float | None
    least: float
    most: float


def points(lines: Sequence[Mapping[str, Any]], shown: int = 60) -> Trend:
    """Return the newest batches with a known accuracy; ``lines`` are the history's."""
    known = [line for line in lines if line["accuracy"]][-shown:]
    least = min((line["accuracy"]["low"] for line in known), default=0.9)
    least = max(0.0, min(least, min((line["usual"] for line in known), default=1.0)) - 0.01)

    def height(value: float) -> float:
        share = (value - least) / (1 - least)
        return round(HEIGHT - MARGIN - share * (HEIGHT - 2 * MARGIN), 1)

    step = (WIDTH - 2 * MARGIN) / max(len(known), 1)
    drawn = []
    for number, line in enumerate(known):
        accuracy, x = line["accuracy"], round(MARGIN + (number + 0.5) * step, 1)
        ends = (height(accuracy["high"]), height(accuracy["low"]))
        text = f"{line['batch']}: {100 * accuracy['value']:.2f} %"
        drawn.append(Point(x, height(accuracy["value"]), *ends, bool(line["alarm"]), text))
    usual = height(known[-1]["usual"]) if known else None
    return Trend(drawn, usual, least, 1.0)
