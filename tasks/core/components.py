"""A few numbers an image in place of hundreds: principal components."""

from typing import NamedTuple

import numpy as np


class Basis(NamedTuple):
    """A mean ``(d,)`` and orthonormal directions ``(k, d)``, the widest spread first."""

    mean: np.ndarray
    directions: np.ndarray

    def project(self, vectors: np.ndarray) -> np.ndarray:
        """Return the coordinates ``(n, k)`` float32 of vectors ``(n, d)``."""
        return ((vectors - self.mean) @ self.directions.T).astype(np.float32)


def principal(vectors: np.ndarray, count: int) -> Basis:
    """Return the ``count`` directions in which vectors ``(n, d)`` spread the most.

    Each direction's sign is fixed by its largest entry, which is positive.
    """
    mean = vectors.mean(0, dtype=np.float64)
    covariance = np.cov(vectors - mean, rowvar=False)
    directions = np.linalg.eigh(covariance).eigenvectors[:, ::-1][:, :count].T
    largest = np.abs(directions).argmax(1)
    signs = np.sign(directions[np.arange(len(directions)), largest])
    return Basis(mean, directions * signs[:, None])
