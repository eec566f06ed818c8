"""What a fitted model says of the images: the file that scores are computed from."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from tasks.io import files
from tasks.io.stage import StageError

FILE = "predictions.npz"


class Predictions(NamedTuple):
    """Probabilities of one model, float32 ``(n, classes)``, and the training rows they belong to.

    ``train`` are images that the model was fitted on (a sample), ``validation`` are training
    images that it never saw, ``test`` is the whole test set in order. Rows are int32 ``(n,)``.
    """

    train_rows: np.ndarray
    train: np.ndarray
    validation_rows: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def save(folder: Path, predictions: Predictions) -> None:
    """Write ``predictions.npz`` into a model's folder."""
    arrays = {
        key: value.astype(np.int32 if key.endswith("_rows") else np.float32)
        for key, value in predictions._asdict().items()
    }
    files.write_arrays(folder / FILE, **arrays)


def load(folder: Path) -> Predictions:
    """Return the predictions of the model in ``folder``.

    Raises
    ------
    StageError
        If the file is missing or lacks an array.
    """
    try:
        with np.load(folder / FILE, allow_pickle=False) as archive:
            return Predictions(**{field: archive[field] for field in Predictions._fields})
    except FileNotFoundError:
        raise StageError(f"{folder / FILE} is missing: run `dvc repro`") from None
    except (KeyError, ValueError, OSError) as error:
        raise StageError(f"{folder / FILE}: expected {Predictions._fields}; {error}") from None
