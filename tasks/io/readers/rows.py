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

Labels = list[str | None]


class FormatError(Exception):
    """A file, or a row of it, cannot be read; the message says why."""


class Block(NamedTuple):
    """Consecutive rows of one part: pixels as stored, and what is told of each row.

    ``images`` is ``(n, h, w)`` or ``(n, h, w, channels)`` of any real dtype, or a list of
    images each of a shape of its own; where ``faults`` has a text the image says nothing.
    """

    images: np.ndarray | list[np.ndarray]
    labels: Labels
    faults: list[str | None]


class Part(NamedTuple):
    """The rows of a file, or of one split of it.

    ``blocks(skip, rows)`` gives all but the first ``skip`` rows in order, at most ``rows`` a
    block; it may raise `FormatError` when a file ends or breaks before its time.
    """

    split: str  # "train", "test", "val"; "" where the file knows none
    size: int | None  # rows; None: not known without reading it all
    blocks: Callable[[int, int], Iterator[Block]]


def block(
    images: np.ndarray | list[np.ndarray], labels: Sequence[Any] | np.ndarray | None
) -> Block:
    """Return images as a block without faults; ``labels`` are theirs alone, or None."""
    nothing: Labels = [None] * len(images)
    texts = nothing if labels is None else names(labels)
    return Block(images, texts, [None] * len(images))


def faulty(reason: str) -> Block:
    """Return one row that cannot be read."""
    return Block([np.zeros((1, 1), np.uint8)], [None], [reason])


def whole(images: np.ndarray, labels: np.ndarray | None, split: str = "") -> Part:
    """Return arrays in memory, ``(n, h, w[, channels])`` and ``(n,)``, as a part."""

    def blocks(skip: int, rows: int) -> Iterator[Block]:
        for start in range(skip, len(images), rows):
            chosen = slice(start, start + rows)
            yield block(images[chosen], None if labels is None else labels[chosen])

    return Part(split, len(images), blocks)


def names(labels: Sequence[Any] | np.ndarray) -> Labels:
    """Return labels as class names: 5, 5.0, "5.0" and b"5" become "5"; what is missing None."""
    array = np.asarray(labels)
    if array.dtype.kind in "iu":
        return [str(label) for label in array.tolist()]
    return [_name(label) for label in array.tolist()]


def _name(label: Any) -> str | None:
    if label is None or (isinstance(label, float) and math.isnan(label)):
        return None
    if isinstance(label, bytes):
        label = label.decode("utf-8", "replace")
    if isinstance(label, float) and label.is_integer():
        label = int(label)
    text = str(int(label) if isinstance(label, bool) else label).strip()
    return re.sub(r"^(\d+)\.0+$", r"\1", text) or None


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
    """Return the shape of an image as stored: ``(h, w)``, ``(h, w, channels)`` or turned.

    ``shape`` is an array's without its rows: two sides, with colours after or before them,
    or the pixels of a square in a row.

    Raises
    ------
    FormatError
        If it is none of these, or too large.
    """
    if len(shape) == 1 and (side := math.isqrt(shape[0])) ** 2 == shape[0]:
        shape = (side, side)
    if len(shape) not in (2, 3) or min(shape) < 1 or (len(shape) == 3 and not colours(shape)):
        raise FormatError(
            f"{what}: expected images (n, height, width), (n, height, width, channels) or the"
            f" pixels of a square one in a row; got {shape} an image"
        )
    if math.prod(shape) > 4 * MAX_PIXELS:
        raise FormatError(f"{what}: {shape} an image is more than {MAX_PIXELS:,} pixels")
    return shape


def colours(shape: tuple[int, ...]) -> int | None:
    """Return which axis of an image of three holds its 1 to 4 colours, the last before the first.

    None if neither does.
    """
    return next((axis for axis in (2, 0) if shape[axis] <= 4), None)


def upright(images: np.ndarray) -> np.ndarray:
    """Return images ``(n, h, w[, channels])`` whose colours may stand before height and width."""
    before = images.ndim == 4 and colours(images.shape[1:]) == 0
    return np.moveaxis(images, 1, 3) if before else images


def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """Return a key that sorts names as people do: numbers by value, so "9" before "10"."""
    parts = re.split(r"(\d+)", name)
    key = ((0, int(p), "") if p.isdecimal() else (1, 0, p.casefold()) for p in parts if p)
    return (*key, (2, 0, name))
