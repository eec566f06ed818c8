"""Stage ``label_audit``: the training labels that are likely wrong, for a person to judge.

It removes and corrects nothing: that is for ``data/label_reviews.csv``, which `preprocess`
applies. Every image is judged by members that never saw it.
"""

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from pydantic import Field

from tasks.core import label_noise, metrics
from tasks.core.classes import DIGITS, noun
from tasks.core.label_reviews import COLUMNS, fingerprints, proposal
from tasks.core.report_images import data_uri
from tasks.io import about, dataset, files, models, pages, params, predictions
from tasks.io.params import Section
from tasks.io.stage import run

PREPARED = Path("data/preprocess")
PUBLISHED = Path("data/ingest/train_labels.npy")
FOLDER = Path("reports/label_audit")
PAGE = Path("reports/label_audit.html")


class Label_Audit(Section):  # noqa: N801  # the stage's name, as every section has it
    """How many labels are shown, and from where on one is doubtful."""

    listed: float = Field(gt=0, le=1, description="share of the judged images in the table")
    shown: int = Field(ge=1, le=5_000, description="images in the gallery at most")
    ambiguous: float = Field(gt=0, lt=1, description="probability below which a label is")


class Judged(NamedTuple):
    """The training images that have an out-of-fold answer, ``(n, ...)`` each.

    ``rows`` are their numbers, as reviews have them; ``labels`` are as reviewed, ``published``
    as published, ``probabilities`` are ``(n, classes)``. ``unjudged`` images have no such
    answer.
    """

    rows: np.ndarray
    images: np.ndarray
    labels: np.ndarray
    published: np.ndarray
    probabilities: np.ndarray
    unjudged: int
    classes: tuple[str, ...]


class Suspect(NamedTuple):
    """A line of the table; its names are the header."""

    rank: int
    row: int
    image: str
    label: str
    published: str
    suggested: str
    self_confidence: float
    suggested_probability: float
    kind: str


def main() -> None:
    """Write the ranked table, its sum and the gallery."""
    section = params.section(Label_Audit, "label_audit")
    judged = read()
    doubts = label_noise.doubts(judged.labels, judged.probabilities)
    kinds = _kinds(doubts, section.ambiguous)
    listed = doubts.order[: math.ceil(section.listed * len(doubts.order))]
    suspects = table(judged, doubts, kinds, listed)
    summary = summed_up(judged, kinds, len(suspects))
    _write_table(suspects)
    files.write_json(FOLDER / "summary.json", summary)
    words = {"examples": examples(judged.classes), "noun": noun(judged.classes)}
    _write_page(suspects, judged.images[listed], section, summary=summary, **words)
    likely, unsure = summary["likely_wrong"], summary["ambiguous"]
    print(f"of {len(judged.rows)} labels {likely} are likely wrong, {unsure} ambiguous; {PAGE}")


def read() -> Judged:
    """Return the images that some member of the ensemble was not fitted on, in their order."""
    images = files.read_array(PREPARED / "train_images.npy", np.uint8, (None, 28, 28))
    every = (len(images),)
    labels = files.read_array(PREPARED / "train_labels.npy", np.uint8, every)
    rows = files.read_array(PREPARED / "rows.npy", np.int32, every)
    published = files.read_array(PUBLISHED, np.uint8, (None,))
    found = predictions.load(models.ENSEMBLE)
    held = found.validation_rows
    return Judged(
        about.read().numbering().numbers(rows[held]),
        images[held],
        labels[held],
        published[rows[held]],
        found.validation,
        len(images) - len(held),
        dataset.classes(),
    )


def _kinds(doubts: label_noise.Doubts, ambiguous: float) -> np.ndarray:
    """Return ``likely wrong``, ``ambiguous`` or ``fine`` for each label."""
    unsure = np.where(doubts.confidence < ambiguous, "ambiguous", "fine")
    return np.where(doubts.wrong, "likely wrong", unsure)


def table(
    judged: Judged, doubts: label_noise.Doubts, kinds: np.ndarray, positions: np.ndarray
) -> list[Suspect]:
    """Return a line for each of ``positions``, ranked from 1 in their order."""
    return [
        Suspect(
            rank,
            int(judged.rows[at]),
            image,
            judged.classes[judged.labels[at]],
            judged.classes[judged.published[at]],
            judged.classes[doubts.suggested[at]],
            round(float(doubts.confidence[at]), 6),
            round(float(doubts.suggested_probability[at]), 6),
            str(kinds[at]),
        )
        for rank, (at, image) in enumerate(
            zip(positions, fingerprints(judged.images[positions]), strict=True), start=1
        )
    ]


def summed_up(judged: Judged, kinds: np.ndarray, listed: int) -> dict[str, Any]:
    """Return the counts, the accuracies and what the reviews did, as plain numbers."""
    return {
        "judged": len(judged.rows),
        "unjudged": judged.unjudged,
        "listed": listed,
        "likely_wrong": int((kinds == "likely wrong").sum()),
        "ambiguous": int((kinds == "ambiguous").sum()),
        "noise_estimate": label_noise.noise(judged.labels, judged.probabilities),
        "accuracy_as_published": metrics.accuracy(judged.published, judged.probabilities),
        "accuracy_as_reviewed": metrics.accuracy(judged.labels, judged.probabilities),
        "reviews": files.read_json(PREPARED / "reviews.json"),
    }


def _write_table(suspects: list[Suspect]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([Suspect._fields, *suspects])
    files.write_bytes(FOLDER / "suspects.csv", text.getvalue().encode())


def _write_page(
    suspects: list[Suspect], images: np.ndarray, section: Label_Audit, **values: Any
) -> None:
    tiles = [
        _tile(suspect, image)
        for suspect, image in zip(suspects[: section.shown], images[: section.shown], strict=True)
    ]
    values["below"] = section.ambiguous
    pages.write("label_audit.html", PAGE, suspects=tiles, **values)


def examples(classes: Sequence[str]) -> list[str]:
    """Return what a file of reviews looks like: its header and two lines that are signed."""
    one, other, third = "497" if tuple(classes) == DIGITS else (*classes[:2], classes[-1])
    reasons = {"digit": ("the loop is closed", "a stroke that is no digit")}
    why, why_not = reasons.get(noun(classes), (f"it is {other}", "nothing that has a class"))
    signed = proposal(12345, "0123456789abcdef", one, other).removesuffix(",,")
    left_out = proposal(12346, "fedcba9876543210", third, None).removesuffix(",,")
    return [
        ",".join(COLUMNS),
        f"{signed}A. Reader,2026-01-31,{why}",
        f"{left_out}A. Reader,2026-01-31,{why_not}",
    ]


def _tile(suspect: Suspect, image: np.ndarray) -> dict[str, Any]:
    """Return what the gallery shows of a suspect.

    Beside it stands the start of a line for the file of reviews, which corrects where the
    models prefer another class and excludes where they do not. The file may hold one line a
    row: an image that is corrected already gets none.
    """
    preferred = suspect.suggested_probability > suspect.self_confidence
    better = suspect.suggested if preferred else None
    line = proposal(suspect.row, suspect.image, suspect.published, better)
    corrected = suspect.label != suspect.published
    return {**suspect._asdict(), "picture": data_uri(image), "line": "" if corrected else line}


if __name__ == "__main__":
    run(main)
