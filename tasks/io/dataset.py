"""The prepared images, as every model stage reads them."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from tasks.io import files
from tasks.io.stage import StageError

FOLDER = Path("data/preprocess")
CLASSES = FOLDER / "classes.json"


class Digits(NamedTuple):
    """Images are uint8 ``(n, 28, 28)``, 0 is background; labels and folds uint8 ``(n,)``.

    A label is the place of its class in ``classes``, which are names. The test labels are not
    among them: they are sealed until `tasks.evaluate`.
    """

    train_images: np.ndarray
    train_labels: np.ndarray
    folds: np.ndarray
    test_images: np.ndarray
    classes: tuple[str, ...]


def load() -> Digits:
    """Return the arrays that `tasks.preprocess` wrote, checked for type and shape."""
    train_images = files.read_array(FOLDER / "train_images.npy", np.uint8, (None, 28, 28))
    rows = (len(train_images),)
    return Digits(
        train_images,
        files.read_array(FOLDER / "train_labels.npy", np.uint8, rows),
        files.read_array(FOLDER / "folds.npy", np.uint8, rows),
        files.read_array(FOLDER / "test_images.npy", np.uint8, (None, 28, 28)),
        classes(),
    )


def classes(root: Path = Path()) -> tuple[str, ...]:
    """Return the names of the classes below ``root``: a label is the place of its name.

    Raises
    ------
    StageError
        If the file is missing or is not what `tasks.preprocess` writes.
    """
    found = files.read_json(root / CLASSES)
    named = isinstance(found, list) and all(isinstance(name, str) for name in found)
    if not named or len(found) < 2 or len(set(found)) < len(found):
        raise StageError(
            f"{CLASSES}: expected the names of two classes or more, each once; got {found!r}. "
            "Run `dvc repro` again"
        )
    return tuple(found)
