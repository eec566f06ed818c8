"""Stage ``preprocess``: images at the models' size, reviewed labels, a fold for every image.

Folds are dealt before reviews are applied: what a person decides on one image moves no other
image to another fold.

The test labels stay where `ingest` put them: this stage does not read them.
"""

from pathlib import Path
from typing import Literal, get_args

import numpy as np
from pydantic import Field

from tasks.core import label_reviews
from tasks.core.resize import to_square
from tasks.io import files, params
from tasks.io import label_reviews as review_file
from tasks.io.stage import StageError, run

INPUT = Path("data/ingest")
REPORT = Path("reports/validate/report.json")
OUTPUT = Path("data/preprocess")


class Preprocess(params.Section):
    """How the training data is split, and the size of the models' input."""

    folds: int = Field(ge=2, le=20, description="parts of the training data, each held out once")
    size: Literal[28] = Field(description="height and width in pixels; the models take 28")


def main() -> None:
    """Write the images, the training labels and the folds to data/preprocess."""
    section, seed = params.section(Preprocess, "preprocess"), params.seed()
    require_valid(files.read_json(REPORT))
    published = files.read_array(INPUT / "train_labels.npy", np.uint8, (None,))
    images = _images("train", len(published), section.size)
    found = review_file.read(images, published)
    rows, labels = label_reviews.apply(published, found.reviews)
    files.write_array(OUTPUT / "train_images.npy", images[rows])
    files.write_array(OUTPUT / "test_images.npy", _images("test", None, section.size))
    files.write_array(OUTPUT / "train_labels.npy", labels)
    files.write_array(OUTPUT / "folds.npy", held_out_folds(published, section.folds, seed)[rows])
    files.write_array(OUTPUT / "rows.npy", rows)
    counts = _counts(found)
    files.write_json(OUTPUT / "reviews.json", {**counts, "sha256": found.sha256})
    print(f"preprocessed {len(rows)} training images into {section.folds} folds")
    print(
        f"labels reviewed: {counts['exclude']} excluded, {counts['correct']} corrected,"
        f" {counts['beyond']} left out (beyond data.train_rows)"
    )


def _images(split: str, rows: int | None, size: int) -> np.ndarray:
    path = INPUT / f"{split}_images.npy"
    return to_square(files.read_array(path, np.uint8, (rows, None, None)), size)


def _counts(found: review_file.Reviews) -> dict[str, int]:
    actions = [review.action for review in found.reviews]
    counts = {action: actions.count(action) for action in get_args(label_reviews.Action)}
    return {**counts, "beyond": found.beyond}


def require_valid(report: object) -> None:
    """Raise `StageError` unless `validate`'s report says that the data passed."""
    if not isinstance(report, dict) or report.get("success") is not True:
        raise StageError(
            f"{REPORT}: expected success true; the data has not passed validation."
            " Run `dvc repro validate` to see what is wrong"
        )


def held_out_folds(labels: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Return the fold, 0 to ``folds - 1``, that holds out each row: uint8 ``(n,)``.

    Every fold has each class in the same share, to within one image; the draw is seeded.

    Raises
    ------
    StageError
        If a class has fewer images than there are folds.
    """
    from sklearn.model_selection import StratifiedKFold

    digits, counts = np.unique(labels, return_counts=True)
    if counts.size == 0 or counts.min() < folds:
        scarce = f"{counts.min()} of digit {digits[counts.argmin()]}" if counts.size else "none"
        raise StageError(
            f"params.yaml: preprocess.folds must be at most the number of training images of"
            f" each digit; got {folds} folds and {scarce}. Lower it or raise data.train_rows"
        )
    held_out = np.zeros(len(labels), np.uint8)
    splitter = StratifiedKFold(folds, shuffle=True, random_state=seed)
    for fold, (_, rows) in enumerate(splitter.split(labels, labels)):
        held_out[rows] = fold
    return held_out


if __name__ == "__main__":
    run(main)
