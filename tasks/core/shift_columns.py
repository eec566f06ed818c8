"""The columns by which images are compared: statistics, principal components, what these miss."""

import numpy as np

from tasks.core.components import Basis, principal
from tasks.core.image_features import NAMES, features

STATISTICS = tuple(name for name in NAMES if name not in ("min", "max"))
"""Of `image_features`, without the two that the normalisation of images leaves no freedom."""
COMPONENTS = 10
"""Directions of the pixels; on MNIST ten hold half of the variance."""


def names(components: int = COMPONENTS) -> tuple[str, ...]:
    """Return the names of the columns, in their order."""
    return (*STATISTICS, *(f"component {i + 1}" for i in range(components)), "residual")


def basis(images: np.ndarray, components: int = COMPONENTS) -> Basis:
    """Return the principal directions, float32, of images ``(n, h, w)`` uint8, pixels 0 to 1."""
    found = principal(_vectors(images), components)
    return Basis(*(part.astype(np.float32) for part in found))


def columns(images: np.ndarray, directions: Basis) -> np.ndarray:
    """Return the columns `names` of images ``(n, h, w)`` uint8, ``(n, c)`` float32.

    The statistics are those of `image_features`, the components coordinates in ``directions``.
    The residual is how far an image is from its projection on them (root mean square of the
    pixels, which go from 0 to 1): large for what the directions were not made from.
    """
    described, centred = features(images), _vectors(images) - directions.mean
    coordinates = centred @ directions.directions.T
    missed = np.square(centred).sum(1) - np.square(coordinates).sum(1)
    residual = np.sqrt(np.maximum(missed, 0) / centred.shape[1])
    statistics = np.stack([described[name] for name in STATISTICS], axis=1)
    return np.concatenate([statistics, coordinates, residual[:, None]], axis=1).astype(np.float32)


def _vectors(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1).astype(np.float32) / np.float32(255)
