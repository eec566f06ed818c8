"""Images of any size to a square one, in numpy alone."""

import numpy as np


def to_square(images: np.ndarray, size: int) -> np.ndarray:
    """Return uint8 images ``(n, h, w)`` as ``(n, size, size)``, proportions kept.

    Images that have that size come back as they are. Others are centred in a square of
    background (0) and resampled linearly; when they shrink, each new pixel averages all the
    old ones it covers (a triangle filter as wide as the step), so no stroke falls through.
    """
    if images.shape[1:] == (size, size):
        return images
    square = _centred(images)
    weights = _weights(square.shape[1], size)
    resampled = weights @ square.astype(np.float64) @ weights.T
    return np.clip(np.rint(resampled), 0, 255).astype(np.uint8)


def _centred(images: np.ndarray) -> np.ndarray:
    _, height, width = images.shape
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    square = np.zeros((len(images), side, side), np.uint8)
    square[:, top : top + height, left : left + width] = images
    return square


def _weights(old: int, new: int) -> np.ndarray:
    """Return ``(new, old)``: the share of each old pixel in each new one; rows add up to 1."""
    step = old / new
    reach = max(step, 1.0)
    centres = (np.arange(new) + 0.5) * step
    distance = np.abs(np.arange(old) + 0.5 - centres[:, None])
    weights = np.maximum(0.0, 1.0 - distance / reach)
    shares: np.ndarray = weights / weights.sum(axis=1, keepdims=True)
    return shares
