"""A few images with a model's answers: what it has to answer wherever it is loaded.

The ensemble stage writes one beside its artifact, and a version's commit keeps it, so that a
model that is fetched years later can be told from one that merely loads.
"""

import base64
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tasks.io import files
from tasks.io.stage import StageError

FILE = Path("models/ensemble/known_batch.json")


class KnownBatch(NamedTuple):
    """Images ``(n, 28, 28)`` uint8 and the probabilities ``(n, classes)`` float32 recorded."""

    images: np.ndarray
    probabilities: np.ndarray


def save(path: Path, batch: KnownBatch) -> None:
    """Write ``batch`` as JSON: the images' bytes as base64, the probabilities as numbers."""
    content = {
        "images": base64.b64encode(batch.images.tobytes()).decode(),
        "probabilities": batch.probabilities.tolist(),
    }
    files.write_json(path, content)


def load(path: Path = FILE) -> KnownBatch:
    """Return the batch at ``path``."""
    try:
        return parse(path.read_bytes(), path.as_posix())
    except FileNotFoundError:
        raise StageError(f"{path} is missing: the ensemble stage writes it") from None


def parse(content: bytes, where: str) -> KnownBatch:
    """Return the batch that ``content``, the bytes of the file ``where``, holds.

    Raises
    ------
    StageError
        If it is not what `save` writes.
    """
    try:
        found = json.loads(content)
        pixels = np.frombuffer(base64.b64decode(found["images"], validate=True), np.uint8)
        images = pixels.reshape(-1, 28, 28)
        probabilities = np.array(found["probabilities"], np.float32)
    except (KeyError, TypeError, ValueError) as error:
        raise StageError(f"{where}: expected images and their probabilities; {error}") from None
    rows = probabilities.shape[:1] if probabilities.ndim == 2 else None
    if not len(images) or rows != (len(images),) or probabilities.shape[1] < 2:
        raise StageError(
            f"{where}: expected the probabilities of all classes for each of {len(images)} "
            f"images; got {probabilities.shape}"
        )
    return KnownBatch(images, probabilities)
