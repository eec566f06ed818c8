"""The prepared images, as every model stage reads them."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from tasks.io import files

FOLDER = Path("data/preprocess")


class Digits(NamedTuple):
    """Images are uint8 ``(n, 28, 28)``, 0 is background; labels and folds uint8 ``(n,)``.

    The test labels are not among them: they are sealed until `tasks.evaluate`.
    """

    train_images: np.ndarray
    train_labels: np.ndarray
    folds: np.ndarray
    test_images: np.ndarray


def load() -> Digits:
    """Return the arrays that `tasks.preprocess` wrote, checked for type and shape."""
    train_images = files.read_array(FOLDER / "train_images.npy", np.uint8, (None, 28, 28))
    rows = (len(train_images),)
    return Digits(
        train_images,
        files.read_array(FOLDER / "train_labels.npy", np.uint8, rows),
        files.read_array(FOLDER / "folds.npy", np.uint8, rows),
        files.read_array(FOLDER / "test_images.npy", np.uint8, (None, 28, 28)),
    )
