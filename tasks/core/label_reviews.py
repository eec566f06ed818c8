"""What a person decided on single labels, and the training rows that are left by it."""

import csv
import io
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from tasks.core.image_features import hashes

COLUMNS = ("row", "image", "label", "action", "corrected", "who", "date", "why")
"""The header of the file that reviews are kept in."""

Action = Literal["exclude", "correct"]


class Review(NamedTuple):
    """One decision on one training row; ``line`` is where it stands.

    ``label`` and ``corrected`` are places of class names.
    """

    line: int
    row: int
    image: str  # its `fingerprints`
    label: int  # as published
    action: Action
    corrected: int | None  # None where the row is excluded


class Reviewed(NamedTuple):
    """The rows that are kept, int32 ``(n,)`` in their order, and their labels, uint8 ``(n,)``."""

    rows: np.ndarray
    labels: np.ndarray


def apply(labels: np.ndarray, reviews: Sequence[Review]) -> Reviewed:
    """Return what is left of the published ``labels``, uint8 ``(n,)``, after the reviews.

    Every review is of another row, and its row is below ``n``.
    """
    kept, reviewed = np.ones(len(labels), bool), labels.copy()
    for review in reviews:
        if review.corrected is None:
            kept[review.row] = False
        else:
            reviewed[review.row] = review.corrected
    rows = np.flatnonzero(kept)
    return Reviewed(rows.astype(np.int32), reviewed[rows])


def fingerprints(images: np.ndarray) -> list[str]:
    """Return the first 16 hex digits of the SHA-256 of each image's bytes.

    Enough to tell 60,000 images apart, and short enough for a line that people read.
    """
    return [digest[:16] for digest in hashes(images)]


def proposal(row: int, image: str, label: str, suggested: str | None) -> str:
    """Return the start of a review's line: who, date and why are left for a person to fill in.

    Without a ``suggested`` class it excludes the row.
    """
    line = io.StringIO()
    decided = ("exclude", "") if suggested is None else ("correct", suggested)
    csv.writer(line, lineterminator="").writerow([row, image, label, *decided, "", "", ""])
    return line.getvalue()
