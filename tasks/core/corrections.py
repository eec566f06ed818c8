"""What speaks against taking an image with its label into the training set."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from tasks.core.image_features import hashes
from tasks.core.rows import Rows


class Held(NamedTuple):
    """An image that is known, its label and what it is; no label where that is sealed."""

    label: str | None
    what: str


def held(train: np.ndarray, labels: Sequence[str], test: np.ndarray, rows: Rows) -> dict[str, Held]:
    """Return what is known of the data set's own images, ``(n, 28, 28)`` uint8, by their hash."""
    numbers = rows.numbers(np.arange(len(train)))
    parts = zip(hashes(train), labels, numbers, strict=True)
    known = {digest: Held(label, f"training image {row}") for digest, label, row in parts}
    return known | {
        digest: Held(None, f"test image {row}") for row, digest in enumerate(hashes(test))
    }


def objection(known: Mapping[str, Held], digest: str, label: str, classes: Sequence[str]) -> str:
    """Say why an image cannot be trained on with ``label``; "" if nothing speaks against it."""
    if label not in classes:
        return f"label must be one of {', '.join(classes)}; got {label!r}"
    found = known.get(digest)
    if found is None or found.label == label:
        return ""
    if found.label is None:
        return f"it is {found.what}: what a model is tested on is never trained on"
    return f"label {label} contradicts {found.what}, the same image with label {found.label}"
