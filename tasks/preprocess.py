"""Stage ``preprocess``: the classes by name, reviewed labels, a fold for every image.

Folds are dealt before reviews are applied, and to the data set's own rows alone: what a person
decides on one image, or adds, moves no other image to another fold.

The test labels stay where `ingest` put them: this stage does not read them.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import numpy as np
from pydantic import Field

from tasks.core import label_reviews
from tasks.core.classes import noun
from tasks.core.splits import marks
from tasks.io import about, files, params
from tasks.io import label_reviews as review_file
from tasks.io.stage import StageError, run

INPUT = Path("data/ingest")
REPORT = Path("reports/validate/report.json")
OUTPUT = Path("data/preprocess")


class Preprocess(params.Section):
    """How the training data is split."""

    folds: int = Field(ge=2, le=20, description="parts of the training data, each held out once")


def main() -> None:
    """Write the images, the training labels and the folds to data/preprocess."""
    section, seed = params.section(Preprocess, "preprocess"), params.seed()
    require_valid(files.read_json(REPORT))
    told = about.read()
    own = told.rows["train"]
    published = files.read_array(INPUT / "train_labels.npy", np.uint8, (None,))
    images = _images("train", len(published))
    found = review_file.read(images, published, told.classes, told.numbering())
    rows, labels = label_reviews.apply(published, found.reviews)
    folds = held_out_folds(published[:own], section.folds, seed, told.classes)
    folds = np.append(folds, added_folds(images[own:], section.folds))
    files.write_array(OUTPUT / "train_images.npy", images[rows])
    files.write_array(OUTPUT / "test_images.npy", _images("test", None))
    files.write_array(OUTPUT / "train_labels.npy", labels)
    files.write_array(OUTPUT / "folds.npy", folds[rows])
    files.write_array(OUTPUT / "rows.npy", rows)
    files.write_json(OUTPUT / "classes.json", told.classes)
    counts = _counts(found)
    files.write_json(OUTPUT / "reviews.json", {**counts, "sha256": found.sha256})
    print(f"preprocessed {len(rows)} training images into {section.folds} folds")
    print(
        f"labels reviewed: {counts['exclude']} excluded, {counts['correct']} corrected,"
        f" {counts['beyond']} left out (beyond data.train_rows)"
    )


def _images(split: str, rows: int | None) -> np.ndarray:
    return files.read_array(INPUT / f"{split}_images.npy", np.uint8, (rows, 28, 28))


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


def held_out_folds(labels: np.ndarray, folds: int, seed: int, classes: Sequence[str]) -> np.ndarray:
    """Return the fold, 0 to ``folds - 1``, that holds out each row: uint8 ``(n,)``.

    Every fold has each class in the same share, to within one image; the draw is seeded.

    Raises
    ------
    StageError
        If a class has fewer images than there are folds.
    """
    from sklearn.model_selection import StratifiedKFold

    counts, word = np.bincount(labels, minlength=len(classes)), noun(classes)
    if scarce := [f"{n} of {word} {classes[at]}" for at, n in enumerate(counts) if n < folds]:
        raise StageError(
            f"params.yaml: preprocess.folds must be at most the number of training images of"
            f" each {word}; got {folds} folds and {', '.join(scarce)}. Lower it, raise"
            " data.train_rows, or leave such classes out of the data"
        )
    held_out = np.zeros(len(labels), np.uint8)
    splitter = StratifiedKFold(folds, shuffle=True, random_state=seed)
    for fold, (_, rows) in enumerate(splitter.split(labels, labels)):
        held_out[rows] = fold
    return held_out


def added_folds(images: np.ndarray, folds: int) -> np.ndarray:
    """Return the fold of each image that feedback added: uint8 ``(n,)``, by the image alone."""
    return np.floor(marks(images) * folds).astype(np.uint8)


if __name__ == "__main__":
    run(main)
