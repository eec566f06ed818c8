"""Tables of numbers as text."""

import csv

import numpy as np


def columns(text: str) -> dict[str, np.ndarray]:
    """Return the columns of a CSV of numbers under a header, float64 ``(rows,)`` each."""
    header, *rows = csv.reader(text.splitlines())
    values = np.array(rows, dtype=np.float64).reshape(len(rows), len(header))
    return dict(zip(header, values.T, strict=True))
