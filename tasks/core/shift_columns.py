"""The columns by which images are compared: statistics, principal components, what these miss."""

from typing import NamedTuple

import numpy as np

from tasks.core.components import principal
from tasks.core.image_features import NAMES, features

STATISTICS = tuple(name for name in NAMES if name not in ("min", "max"))
"""Of `image_features`, without the two that the normalisation of images leaves no freedom."""
COMPONENTS = 10
"""Directions of the pixels; on MNIST ten hold half of the variance."""
_LEAST = 1e-3  # of a column's variance: what the others do not tell of it counts no less


class Frame(NamedTuple):
    """How columns are made; from reference images, and the same for all images after them.

    Principal directions ``(k, d)`` of pixels from 0 to 1 around their mean ``(d,)``; the mean of
    the columns and the matrix that makes them uncorrelated, with variance 1. All float32.
    """

    mean: np.ndarray
    directions: np.ndarray
    centre: np.ndarray
    whitening: np.ndarray


def names(components: int = COMPONENTS) -> tuple[str, ...]:
    """Return the names of the columns, in their order."""
    return (*STATISTICS, *(f"component {i + 1}" for i in range(components)), "residual", "distance")


def frame(images: np.ndarray, components: int = COMPONENTS) -> Frame:
    """Return the frame of reference images ``(n, h, w)`` uint8."""
    basis = principal(_vectors(images), components)
    mean, directions = (part.astype(np.float32) for part in basis)
    plain = _plain(images, mean, directions)
    values, axes = np.linalg.eigh(np.cov(plain / _spread(plain), rowvar=False))
    whitening = axes / np.sqrt(np.maximum(values, _LEAST)) / _spread(plain)[:, None]
    return Frame(mean, directions, plain.mean(0), whitening.astype(np.float32))


def columns(images: np.ndarray, held: Frame) -> np.ndarray:
    """Return the columns `names` of images ``(n, h, w)`` uint8, ``(n, c)`` float32.

    The statistics are those of `image_features`, the components coordinates along the frame's
    directions. The residual is how far an image is from what these tell of it (root mean square of
    the pixels, from 0 to 1). The distance is how far all those together are from the reference's
    mean, in standard deviations (Mahalanobis, root mean square): it sees combinations of values
    that the reference does not have, where each alone is nothing special.
    """
    plain = _plain(images, held.mean, held.directions)
    apart = (plain - held.centre) @ held.whitening
    distance = np.sqrt(np.square(apart).mean(1, keepdims=True))
    return np.concatenate([plain, distance], axis=1)


def _plain(images: np.ndarray, mean: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Return all columns but the distance."""
    described, centred = features(images), _vectors(images) - mean
    coordinates = centred @ directions.T
    missed = np.square(centred).sum(1) - np.square(coordinates).sum(1)
    residual = np.sqrt(np.maximum(missed, 0) / centred.shape[1])
    statistics = np.stack([described[name] for name in STATISTICS], axis=1)
    return np.concatenate([statistics, coordinates, residual[:, None]], axis=1).astype(np.float32)


def _spread(plain: np.ndarray) -> np.ndarray:
    spread = plain.std(axis=0)
    return np.where(spread > 0, spread, 1)


def _vectors(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1).astype(np.float32) / np.float32(255)
