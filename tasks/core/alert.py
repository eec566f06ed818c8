"""What a batch's judgement comes to, in words for a person who was woken by it."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tasks.core.report_words import count, percent
from tasks.core.shift import Verdict
from tasks.core.shift_judgement import ACCURACY, INPUT, LABELS, UNREADABLE, Judgement, Limits

MOVED = 3
"""Columns that an alert names."""

_WHAT = {
    INPUT: "the images look different from those that the model was tested on",
    LABELS: "other classes arrive than usual, in images that look as ever",
    ACCURACY: "the model is less accurate than usual",
    UNREADABLE: "most of the files cannot be read",
}


class Seen(NamedTuple):
    """A batch: its name, how many of its images could and could not be read."""

    batch: str
    images: int
    unreadable: int


class Moved(NamedTuple):
    """A column that moved: its name, the middle of the reference and of the batch, its p-value."""

    name: str
    usual: float
    now: float
    p_value: float


def moved(judgement: Judgement, names: Sequence[str], middles: np.ndarray) -> list[Moved]:
    """Return the columns, the most moved first; ``middles`` ``(2, c)``: reference, batch."""
    order = np.argsort(-judgement.input.moved, kind="stable")
    return [
        Moved(
            names[place],
            float(middles[0][place]),
            float(middles[1][place]),
            float(judgement.input.p_values[place]),
        )
        for place in order
    ]


def words(
    seen: Seen, judgement: Judgement | None, columns: Sequence[Moved], limits: Limits
) -> dict[str, str]:
    """Return what happened, how sure that is, what it costs and what to look at.

    ``judgement`` is None where nothing could be read. ``started`` is left for who answers it.
    """
    kinds = kinds_of(seen, judgement)
    return {
        "what": _what(seen, judgement, kinds),
        "sure": _sure(judgement, limits),
        "cost": _cost(seen, judgement),
        "look": _look(judgement, kinds, columns),
        "started": "" if kinds else "nothing: no alarm",
    }


def kinds_of(seen: Seen, judgement: Judgement | None) -> tuple[str, ...]:
    """Return the kinds of alarm; files that cannot be read are one if they are the most."""
    kinds = judgement.kinds if judgement else ()
    return (*kinds, UNREADABLE) if seen.unreadable > seen.images else kinds


def _what(seen: Seen, judgement: Judgement | None, kinds: Sequence[str]) -> str:
    lost = f", {count(seen.unreadable)} unreadable" if seen.unreadable else ""
    images = f"{count(seen.images)} image{'' if seen.images == 1 else 's'}{lost}"
    if kinds:
        return f"{images}: {'; '.join(_WHAT[kind] for kind in kinds)}"
    if judgement is None:
        return f"{images}: nothing to judge"
    return f"{images}, nothing has changed that would show; {_accuracy(judgement)}"


def _accuracy(judgement: Judgement) -> str:
    real = judgement.real_accuracy if judgement.by_labels else None
    value, low, high = real or judgement.estimate
    source = "by the labels that came along" if real else "estimated"
    return f"accuracy {percent(value)} ({percent(low)} to {percent(high)}), {source}"


def _sure(judgement: Judgement | None, limits: Limits) -> str:
    if judgement is None:
        return "certain: no file could be read as an image"
    tests = {
        "images": judgement.input.verdict,
        "classes": judgement.labels,
        "accuracy": (judgement.real if judgement.by_labels else None) or judgement.accuracy,
    }
    said = ", ".join(f"{name} p = {_p(verdict)}" for name, verdict in tests.items())
    least = limits.false_alarms / len(tests)
    return (
        f"{said}; a test alarms from p = {least:.4f} down, so that of batches without any change "
        f"at most {percent(limits.false_alarms)} alarm"
    )


def _p(verdict: Verdict) -> str:
    least = verdict.p_value <= 1 / (1 + len(verdict.drawn)) + 1e-12
    return f"{verdict.p_value:.4f}{' (no draw was as far)' if least else ''}"


def _cost(seen: Seen, judgement: Judgement | None) -> str:
    if judgement is None:
        return f"no answer to {count(seen.unreadable)} files"
    value, low, high = judgement.loss
    if judgement.by_labels and judgement.real_accuracy:
        value = judgement.usual - judgement.real_accuracy.value
        low, high = (judgement.usual - end for end in reversed(judgement.real_accuracy[1:]))
    points = " to ".join(f"{100 * end:.1f}" for end in (low, high))
    wrong = round(max(value, 0) * seen.images)
    return (
        f"{_accuracy(judgement)}; {percent(judgement.usual)} is usual: {100 * value:.1f} points "
        f"less ({points}), about {count(wrong)} more wrong answers in this batch"
    )


def _look(judgement: Judgement | None, kinds: Sequence[str], columns: Sequence[Moved]) -> str:
    if judgement is None or UNREADABLE in kinds:
        return "the reasons in scores.parquet: who sends the files, in which format?"
    if INPUT in kinds:
        most = "; ".join(
            f"{column.name} {column.usual:.3g} → {column.now:.3g}" for column in columns[:MOVED]
        )
        classes = (
            " The predicted classes shift with it, as a consequence."
            if judgement.labels.alarm
            else ""
        )
        return f"the page's pictures, and what made them; most moved: {most}.{classes}"
    if LABELS in kinds:
        return "where the images come from, and the table of classes on the page"
    if ACCURACY in kinds:
        return "the images that the model is least sure of: to_review.csv"
    return "nothing"


def as_plain(judgement: Judgement) -> dict[str, Any]:
    """Return the tests as numbers that JSON can hold."""
    tests = {
        "input": judgement.input.verdict,
        "labels": judgement.labels,
        "accuracy": judgement.accuracy,
        "real_accuracy": judgement.real,
    }
    return {
        **{name: _plain(verdict) for name, verdict in tests.items() if verdict},
        "estimate": judgement.estimate._asdict(),
        "real": judgement.real_accuracy._asdict() if judgement.real_accuracy else None,
        "usual": judgement.usual,
        "loss": judgement.loss._asdict(),
        "by_labels": judgement.by_labels,
        "tested": judgement.images,
    }


def _plain(verdict: Verdict) -> dict[str, Any]:
    return {
        "statistic": float(verdict.statistic),
        "threshold": float(verdict.threshold),
        "p": float(verdict.p_value),
        "alarm": bool(verdict.alarm),
    }
