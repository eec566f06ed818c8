"""The report's figures: which there are, their titles, and in words what each one shows."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tasks.core import metrics, plots
from tasks.core.classes import noun
from tasks.core.corruptions import CORRUPTIONS, corrupt
from tasks.core.plots import Estimate, History
from tasks.core.report_words import percent

Table = Mapping[str, np.ndarray]


class Picture(NamedTuple):
    """A figure: its name (without ending), title, what it shows in words, and the SVG."""

    name: str
    title: str
    text: str
    drawing: str


def samples(
    images: np.ndarray, labels: np.ndarray, classes: Sequence[str], per_class: int
) -> Picture:
    """Show the first ``per_class`` images ``(n, 28, 28)`` uint8 of every label."""
    what = "handwritten digits" if noun(classes) == "digit" else "images"
    text = f"A grid of {what}: the first {per_class} training images of every label."
    return Picture("samples", "Samples", text, plots.samples(images, labels, classes, per_class))


def errors(board: Sequence[Mapping[str, Any]]) -> Picture:
    """Show every model's share of wrong answers; ``board`` is evaluate's leaderboard."""
    rates = [
        Estimate(r["model"], 1 - r["test_accuracy"], 1 - r["high"], 1 - r["low"], r["winner"])
        for r in board
    ]
    ends = [f"{percent(rate.value)} ({rate.name})" for rate in (rates[0], rates[-1])]
    text = (
        f"Wrong answers of {len(rates)} models with intervals: from {ends[0]} to {ends[1]}. "
        "The diamond is the winner."
    )
    return Picture("errors", "Error rates of all models", text, plots.errors(rates))


def confusion(answers: Table, classes: Sequence[str]) -> Picture:
    """Show which class is taken for which; ``answers`` has actual and predicted, ``(n,)``."""
    actual, predicted = answers["actual"], answers["predicted"]
    matrix = metrics.confusion_matrix(actual, predicted, len(classes))
    wrong = matrix * ~np.eye(len(matrix), dtype=bool)
    true, said = (classes[int(at)] for at in np.unravel_index(wrong.argmax(), wrong.shape))
    text = f"{matrix.sum() - wrong.sum()} of {matrix.sum()} test images are right."
    if wrong.any():
        text += f" The most frequent error: {true} taken for {said}, {wrong.max()} times."
    title = "Confusion matrix of the ensemble"
    return Picture("confusion", title, text, plots.confusion(matrix, classes, noun(classes)))


def reliability(table: Table, level: float) -> Picture:
    """Show confidence against accuracy; ``table`` is evaluate's, intervals are at ``level``."""
    totals = table["images"].astype(int).tolist()
    hits = np.rint(table["accuracy"] * table["images"]).astype(int).tolist()
    rates = [
        Estimate("", hit / total, *metrics.wilson_interval(hit, total, level), strong=False)
        for hit, total in zip(hits, totals, strict=True)
    ]
    gap = np.average(np.abs(table["confidence"] - table["accuracy"]), weights=table["images"])
    text = (
        f"Right answers against confidence in {len(rates)} bins of equal size: on average "
        f"{percent(float(gap))} apart."
    )
    drawing = plots.reliability(table["confidence"], rates)
    return Picture("reliability", "Reliability of the ensemble", text, drawing)


def coverage(curves: Mapping[str, Table], abstention: Mapping[str, Any]) -> Picture:
    """Show how many answers are wrong by how many are given, and the chosen threshold."""
    points = {name: np.stack([t["coverage"], t["risk"]], axis=1) for name, t in curves.items()}
    outcomes = {"test images": abstention["test"], "held-out images": abstention["chosen"]}
    marks = {name: (said["coverage"], said["risk"]) for name, said in outcomes.items()}
    test = abstention["test"]
    text = (
        f"Risk by coverage. The marks are the threshold in use: {percent(test['coverage'])} of the "
        f"test images get an answer, {test['errors']} of those {test['answered']} are wrong."
    )
    return Picture("coverage", "Risk by coverage", text, plots.coverage(points, marks))


def corrupted(images: np.ndarray, seed: int) -> Picture:
    """Show what each corruption does to a few images ``(k, 28, 28)`` uint8."""
    severities = range(3)
    rows = {
        kind: np.concatenate([corrupt(images, kind, severity, seed) for severity in severities])
        for kind in CORRUPTIONS
    }
    text = f"{len(rows)} kinds of corruption at three severities, on the same {len(images)} images."
    return Picture(
        "corruptions", "Corruptions", text, plots.grid(rows, ["mild", "medium", "strong"])
    )


def courses(histories: Mapping[str, Mapping[str, Table]]) -> list[Picture]:
    """Show loss and accuracy by epoch of each group of networks."""
    return [
        _course(group, networks, quantity, unit, factor)
        for group, networks in histories.items()
        for quantity, unit, factor in (("loss", "nats", 1), ("accuracy", "%", 100))
    ]


def _course(
    group: str, networks: Mapping[str, Table], quantity: str, unit: str, factor: float
) -> Picture:
    drawn = {
        name: History(
            table["epoch"], factor * table[quantity], factor * table[f"validation_{quantity}"]
        )
        for name, table in networks.items()
    }
    seen, unseen = (np.mean([h[part][-1] for h in drawn.values()]) for part in (1, 2))
    text = (
        f"By epoch; at the end {seen:.4g} {unit} on training images, "
        f"{unseen:.4g} {unit} on held-out images."
    )
    if len(drawn) > 1:
        text += " Thin: each member; bold: their mean."
    who = f"the {len(drawn)} members" if group == "members" else group
    drawing = plots.curves(drawn, f"{quantity} ({unit})")
    return Picture(f"{quantity}-{group}", f"{quantity.capitalize()} of {who}", text, drawing)
