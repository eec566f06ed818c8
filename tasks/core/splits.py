"""A labelled data set: its split and its order, which follow from the images alone.

Another seed, another order of files or more images move no image from the test set into the
training set or back, so that what was sealed stays sealed; and equal images never part.
"""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Splits(NamedTuple):
    """Images ``(n, 28, 28)`` and labels ``(n,)``, all uint8; a label is the place of its class."""

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray


class Part(NamedTuple):
    """Images ``(n, 28, 28)`` and labels ``(n,)``, both uint8, and where each one is from."""

    images: np.ndarray
    labels: np.ndarray
    ids: Sequence[str]

    def first(self, rows: int | None) -> "Part":
        """Return the first rows; None: all."""
        return Part(self.images[:rows], self.labels[:rows], self.ids[:rows])

    def take(self, rows: np.ndarray) -> "Part":
        """Return these rows, in this order."""
        return Part(self.images[rows], self.labels[rows], [self.ids[row] for row in rows])


def marks(images: np.ndarray) -> np.ndarray:
    """Return a number in [0, 1) for each image ``(h, w)``, spread evenly: of its SHA-256."""
    digests = (hashlib.sha256(image.tobytes()).digest()[:8] for image in images)
    return np.array([int.from_bytes(digest, "big") / 2**64 for digest in digests])


def ordered(part: Part) -> Part:
    """Return the part in the order of its images' marks, so that any first rows are a fair sample.

    Many data sets come one class after the other.
    """
    return part.take(np.lexsort((part.labels, marks(part.images))))


def split(part: Part, share: float) -> tuple[Part, Part]:
    """Return a training and a test part: about ``share`` of each class is in the latter.

    Those are the images with a mark below ``share``; where a class has none, its lowest.
    """
    mark = marks(part.images)
    test = mark < share
    for label in np.unique(part.labels):
        of_class = part.labels == label
        test |= of_class & (mark <= mark[of_class].min())
    return part.take(np.flatnonzero(~test)), part.take(np.flatnonzero(test))
