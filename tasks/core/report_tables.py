"""Tables as text."""

import csv
from collections.abc import Sequence

import numpy as np


def numbers(text: str) -> dict[str, np.ndarray]:
    """Return the columns of a CSV of numbers under a header, float64 ``(rows,)`` each."""
    header, rows = _read(text)
    values = np.array(rows, dtype=np.float64).reshape(len(rows), len(header))
    return dict(zip(header, values.T, strict=True))


def places(text: str, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Return the columns of a CSV of ``names`` as their places among these, ints ``(rows,)``.

    Raises
    ------
    ValueError
        If there is another name.
    """
    header, rows = _read(text)
    place = {name: number for number, name in enumerate(names)}
    if strange := sorted({value for row in rows for value in row if value not in place}):
        raise ValueError(f"{strange[0]!r} is none of {', '.join(names)}")
    values = np.array([[place[value] for value in row] for row in rows], dtype=np.int64)
    return dict(zip(header, values.reshape(len(rows), len(header)).T, strict=True))


def _read(text: str) -> tuple[list[str], list[list[str]]]:
    header, *rows = csv.reader(text.splitlines())
    return header, rows
