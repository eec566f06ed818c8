"""What every format is read as: parts of rows, taken block by block."""

import math
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

BUDGET = 16 << 20
"""Bytes of a block, as stored, that a reader aims at."""
MAX_PIXELS = 64_000_000
"""Pixels of the largest image that is opened."""


class FormatError(Exception):
    """A file, or a row of it, cannot be read; the message says why."""


class Block(NamedTuple):
    """Consecutive rows of one part: pixels as stored, and what is told of each row.

    ``images`` is ``(n, h, w)`` or ``(n, h, w, channels)`` of any real dtype, or a list of
    images each of a shape of its own; where ``faults`` has a text the image says nothing.
    """

    images: np.ndarray | list[np.ndarray]
    labels: list[str | None]
    faults: list[str | None]


class Part(NamedTuple):
    """The rows of a file, or of one split of it.

    ``blocks(skip, rows)`` gives all but the first ``skip`` rows in order, at most ``rows`` a
    block; it may raise `FormatError` when a file ends or breaks before its time.
    """

    split: str  # "train", "test" …; "" where the file knows none
    size: int | None  # rows; None: not known without reading it all
    labelled: bool
    blocks: Callable[[int, int], Iterator[Block]]


def whole(images: np.ndarray, labels: np.ndarray | None, split: str = "") -> Part:
    """Return arrays in memory, ``(n, h, w[, channels])`` and ``(n,)``, as a part."""

    def blocks(skip: int, rows: int) -> Iterator[Block]:
        for start in range(skip, len(images), rows):
            yield block(images[start : start + rows], labels, start)

    return Part(split, len(images), labels is not None, blocks)


def block(images: np.ndarray, labels: np.ndarray | None, start: int) -> Block:
    """Return images as a block without faults; ``start`` is the first one's row in ``labels``."""
    count = len(images)
    nothing: list[str | None] = [None] * count
    texts = nothing if labels is None else names(labels[start : start + count])
    return Block(images, texts, [None] * count)


def names(labels: Sequence[Any] | np.ndarray) -> list[str | None]:
    """Return labels as class names: 5, 5.0 and b"5" become "5"; what is missing None."""
    array = np.asarray(labels)
    if array.dtype.kind in "biu":
        return [str(int(label)) for label in array]
    if array.dtype.kind == "U":
        return [str(label).strip() or None for label in array]
    return [_name(label) for label in array.tolist()]


def _name(label: Any) -> str | None:
    if label is None:
        return None
    if isinstance(label, bytes):
        label = label.decode("utf-8", "replace")
    if isinstance(label, float):
        if math.isnan(label):
            return None
        label = int(label) if label.is_integer() else label
    return str(label).strip() or None


def flat_labels(labels: np.ndarray, what: str) -> np.ndarray:
    """Return labels ``(n,)`` from ``(n,)``, ``(n, 1)``, ``(1, n)`` or one-hot ``(n, classes)``."""
    if labels.ndim == 2 and 1 in labels.shape:
        return labels.reshape(-1)
    if labels.ndim == 2 and labels.dtype.kind in "biuf" and (labels.sum(axis=1) == 1).all():
        return labels.argmax(axis=1)
    if labels.ndim != 1:
        raise FormatError(f"{what}: expected one label an image; got {labels.shape}")
    return labels


def image_shape(shape: tuple[int, ...], what: str) -> tuple[int, ...]:
    """Return the shape ``(h, w[, channels])`` of an image, given an array's shape without rows.

    Raises
    ------
    FormatError
        If it is none: neither two sides nor a square's pixels in a row.
    """
    fits = len(shape) == 2 or (len(shape) == 3 and shape[2] <= 4)
    if len(shape) == 1 and (side := math.isqrt(shape[0])) ** 2 == shape[0]:
        shape, fits = (side, side), True
    if not fits or min(shape) < 1:
        raise FormatError(
            f"{what}: expected images (n, height, width), (n, height, width, channels) or the"
            f" pixels of a square one in a row; got {shape} an image"
        )
    if math.prod(shape[:2]) > MAX_PIXELS:
        raise FormatError(f"{what}: {shape} is more than {MAX_PIXELS:,} pixels an image")
    return shape


def natural(name: str) -> list[tuple[int, int, str]]:
    """Return a key that sorts names as people do: numbers by value, so "9" before "10"."""
    parts = re.split(r"(\d+)", name)
    return [(0, int(p), "") if p.isdecimal() else (1, 0, p.casefold()) for p in parts if p]
