"""What every model has to answer at the gate: the test images, plain and corrupted."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tasks.core.corruptions import CORRUPTIONS, corrupt
from tasks.io import archives, dataset, files, sealed

IMAGES = Path("data/preprocess/test_images.npy")


class ModelError(Exception):
    """A model cannot be loaded, or does not answer as a model of digits has to."""


class Answers(NamedTuple):
    """Which answers of a model are right, bool.

    ``plain`` is ``(n,)``, ``corrupted`` is ``(kinds, severities, m)`` in the order of
    `tasks.core.corruptions.CORRUPTIONS`.
    """

    plain: np.ndarray
    corrupted: np.ndarray


class Exam(NamedTuple):
    """Images and their labels, the same for every model that is judged beside another.

    ``images`` ``(n, 28, 28)`` uint8, 0 is background; ``labels`` ``(n,)`` uint8, the places
    of their names in ``classes``; ``rows`` ``(m,)`` are the images that are corrupted, by
    ``seed``.
    """

    images: np.ndarray
    labels: np.ndarray
    rows: np.ndarray
    seed: int
    classes: tuple[str, ...]

    def answer(self, model: bytes) -> Answers:
        """Return which answers of an ONNX ``model`` are right.

        Raises
        ------
        ModelError
            If it cannot be loaded or run, or does not answer a finite number a class.
        """
        try:
            session = archives.load_onnx(model)
            plain, *corrupted = self._right_of_all(session)
        except ModelError:
            raise
        except Exception as error:  # onnxruntime has a class for every status code
            first = str(error).strip().partition("\n")[0]
            raise ModelError(f"cannot be loaded and run: {first}") from None
        return Answers(plain, np.array(corrupted).reshape(len(CORRUPTIONS), 3, -1))

    def _right_of_all(self, session: object) -> list[np.ndarray]:
        """Let the model answer everything, on all cores: hardly a stage runs beside the gate.

        Each answer is computed on one, so that their number changes none.
        """
        from joblib import cpu_count

        parts = [(kind, severity) for kind in CORRUPTIONS for severity in range(3)]
        with ThreadPoolExecutor(cpu_count()) as pool:
            plain = pool.submit(self._right, session, self.images, self.labels)
            corrupted = [
                pool.submit(lambda part: self._right(session, *self._corrupted(*part)), part)
                for part in parts
            ]
            return [future.result() for future in (plain, *corrupted)]

    def _corrupted(self, kind: str, severity: int) -> tuple[np.ndarray, np.ndarray]:
        images = corrupt(self.images[self.rows], kind, severity, self.seed)
        return images, self.labels[self.rows]

    def _right(self, session: object, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
        answers = archives.probabilities(session, images)
        wanted = (len(images), len(self.classes))
        if answers.shape != wanted or not np.isfinite(answers).all():
            raise ModelError(f"expected finite probabilities {wanted}; got {answers.shape}")
        return np.asarray(answers.argmax(axis=1) == labels)


def load(root: Path, corrupted: int, seed: int) -> Exam:
    """Return the exam below ``root``, with so many ``corrupted`` images, drawn by ``seed``."""
    labels = sealed.labels(root)
    images = files.read_array(root / IMAGES, np.uint8, (len(labels), 28, 28))
    rows = np.random.default_rng(seed).permutation(len(labels))[:corrupted]
    return Exam(images, labels, np.sort(rows), seed, dataset.classes(root))
