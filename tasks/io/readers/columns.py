"""Which columns of a table are pixels and which one is the label."""

import math
import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tasks.io.readers.rows import FormatError

LABELS = ("label", "labels", "class", "target", "y", "digit", "category", "class_name")
"""Names of the column of labels, the likeliest first."""

_LEAST = 16  # pixels of an image, at least


class Layout(NamedTuple):
    """Columns by their places: pixels row by row of the square image, and the label or None."""

    pixels: list[int]
    label: int | None


def named(names: Sequence[str]) -> Layout:
    """Return the layout of a table by its columns' names, such as label, pixel0, pixel1.

    Pixels are the largest group of names that differ in numbers alone.

    Raises
    ------
    FormatError
        If there are no pixels of a square image.
    """
    plain = [name.strip().strip("\"'").lower() for name in names]
    label = next((plain.index(name) for name in LABELS if name in plain), None)
    groups: dict[str, list[int]] = {}
    for place, name in enumerate(plain):
        if re.search(r"\d", name) and place != label:
            groups.setdefault(re.sub(r"\d+", "#", name), []).append(place)
    pixels = max(groups.values(), key=len, default=[])
    if not _is_square(len(pixels)):
        raise FormatError(
            "expected columns pixel0, pixel1 … of square images and, if they are known, label;"
            f" got {', '.join(names[:4])}{' …' if len(names) > 4 else ''}"
        )
    return Layout(pixels, label)


def unnamed(sample: np.ndarray) -> Layout:
    """Return the layout of a table without names, by some of its rows ``(n, columns)`` float64.

    Text is NaN. A square number of columns has no label. Otherwise it is in the first or the
    last column, whichever is no pixel: pixels in corners are blank.

    Raises
    ------
    FormatError
        If neither all columns nor all but one make a square image.
    """
    count = sample.shape[1]
    if _is_square(count):
        return Layout(list(range(count)), None)
    if not _is_square(count - 1):
        raise FormatError(
            "expected the pixels of square images in a row, and a label before or after them"
            f" (785 columns for 28x28); got {count} columns"
        )
    first, last = _like_labels(sample[:, 0]), _like_labels(sample[:, -1])
    at_end = last > first if last != first else count == 65  # as in UCI's optdigits
    if at_end:
        return Layout(list(range(count - 1)), count - 1)
    return Layout(list(range(1, count)), 0)


def _is_square(count: int) -> bool:
    return count >= _LEAST and math.isqrt(count) ** 2 == count


def _like_labels(column: np.ndarray) -> int:
    """Return how much a column looks like labels: 2 text, 1 varied, 0 the same in all rows."""
    return 2 if np.isnan(column).any() else int(len(np.unique(column)) > 1)
