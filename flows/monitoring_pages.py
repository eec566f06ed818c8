"""The pages of monitoring: one a batch, Evidently's beside it, and the trend over all."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tasks.core import report_evidently, trend
from tasks.core.report_evidently import Columns, Distances
from tasks.core.report_images import data_uri
from tasks.core.shift_judgement import Judgement
from tasks.core.shift_reference import Reference, Sample
from tasks.io import batches, files, monitoring, pages, params, scores
from tasks.io.monitoring_params import Monitor
from tasks.io.readers import stream
from tasks.io.stage import StageError

PICTURES = "pictures.json"
REVIEW = "to_review.csv"


class Shown(NamedTuple):
    """The sampled images ``(n, 28, 28)`` of a batch with their ids, and what was found in them."""

    images: np.ndarray
    ids: list[str]
    sample: Sample | None
    judgement: Judgement | None


def write(
    root: Path,
    folder: Path,
    report: dict[str, Any],
    *,
    shown: Shown,
    held: Reference,
    answers: scores.Said,
) -> None:
    """Write a batch's pages, its pictures and ``to_review.csv`` into ``folder``."""
    section = params.section(Monitor, "monitor", root / params.FILE)
    review = _review(root, answers, section.examples)
    _write_review(folder / REVIEW, review)
    pictures = {
        "new": _newest(shown, section.examples),
        "typical": [data_uri(image) for image in held.typical[:: max(1, len(held.typical) // 20)]],
        "review": review,
    }
    files.write_json(folder / PICTURES, pictures)
    if shown.sample is not None:
        _evidently(root, folder, report, shown.sample, held)
    batch(root, folder, report)


def batch(root: Path, folder: Path, report: dict[str, Any]) -> None:
    """Write a batch's own page from its report and its pictures."""
    pictures = files.read_json(folder / PICTURES)
    drift = (folder / "drift.html").exists()
    pages.write(
        "batch.html", folder / "index.html", report=report, drift=drift, root="../../", **pictures
    )


def index(root: Path) -> None:
    """Write the page of all batches, the newest first."""
    lines = monitoring.history(root)
    for line in lines:
        line["there"] = (root / monitoring.FOLDER / line["batch"] / "index.html").exists()
    place = root / monitoring.FOLDER / "index.html"
    drawn = trend.points(lines)
    pages.write("monitoring.html", place, lines=lines[::-1], trend=drawn, root="../")


def _newest(shown: Shown, size: int) -> list[dict[str, Any]]:
    """Return the images farthest from the reference: the last column is their distance."""
    if shown.sample is None:
        return []
    far = np.argsort(-shown.sample.columns[:, -1], kind="stable")[:size]
    return [{"id": shown.ids[row], "image": data_uri(shown.images[row])} for row in far]


def _review(root: Path, answers: scores.Said, size: int) -> list[dict[str, Any]]:
    """Return the images that the model is least sure of, with its guess."""
    found = []
    for row in answers.least_sure(size):
        try:
            image = stream.pick(answers.ids[row], root / batches.FOLDER)
        except StageError:  # moved away meanwhile: the table of scores still has it
            continue
        found.append(
            {
                "id": answers.ids[row],
                "guess": answers.predictions[row],
                "confidence": float(answers.confidence[row]),
                "image": data_uri(image),
            }
        )
    return found


def _write_review(path: Path, review: Sequence[dict[str, Any]]) -> None:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(("id", "label", "who"))
    table.writerows((each["id"], each["guess"], "") for each in review)
    files.write_bytes(path, text.getvalue().encode())


def _evidently(
    root: Path, folder: Path, report: dict[str, Any], sample: Sample, held: Reference
) -> None:
    content = params.load(root / params.FILE)["report"]["drift"]
    rows = np.random.default_rng(0).permutation(len(held.columns))[: len(sample.columns)]
    names, classes = held.names.tolist(), [each["name"] for each in report["classes"]]
    found = report_evidently.column_drift(
        Columns(sample.columns, names, sample.probabilities),
        Columns(held.columns[rows], names, held.probabilities[rows]),
        classes,
        Distances(**content),
    )
    banner = pages.render(
        "batch_drift.html", report=report, images=len(sample.columns), held_out=len(rows)
    )
    framed = report_evidently.framed(found.page, "Digitline: drift of a batch", banner)
    files.write_bytes(folder / "drift.html", framed.encode())
