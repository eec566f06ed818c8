"""Random affine distortions: the one kind of augmentation that every good result uses."""

from typing import NamedTuple

import numpy as np

_CENTRE = 13.5  # of an image of 28 pixels, in pixel coordinates


class Ranges(NamedTuple):
    """The largest distortion either way; each image draws its own, uniformly."""

    rotation: float  # degrees
    scale: float  # fraction, of width and of height
    shear: float  # fraction
    shift: float  # pixels, across and down


def affine_transforms(
    rng: np.random.Generator, count: int, ranges: Ranges, border: int = 0
) -> np.ndarray:
    """Draw ``count`` distortions about the image centre.

    The output may lack a border of as many pixels on each side, which saves the work of
    computing what a network does not look at.

    Returns
    -------
    np.ndarray
        ``(count, 8)`` float32: the rows ``a0 a1 a2 b0 b1 b2 0 0`` of TensorFlow's
        ``ImageProjectiveTransformV3``, which maps a point of the output to a point of the
        input: ``x' = a0 x + a1 y + a2`` and ``y' = b0 x + b1 y + b2``.
    """
    angle = np.deg2rad(_uniform(rng, count, ranges.rotation))
    width, height = (1 + _uniform(rng, count, ranges.scale) for _ in range(2))
    shear = _uniform(rng, count, ranges.shear)
    across, down = (_uniform(rng, count, ranges.shift) for _ in range(2))
    cosine, sine = np.cos(angle), np.sin(angle)
    a0, a1 = cosine * width, (shear - sine) * height
    b0, b1 = sine * width, cosine * height
    centre = _CENTRE - border
    zero = np.zeros(count)
    rows = (
        *(a0, a1, _CENTRE - centre * (a0 + a1) + across),
        *(b0, b1, _CENTRE - centre * (b0 + b1) + down),
        *(zero, zero),
    )
    return np.stack(rows, axis=1).astype(np.float32)


def _uniform(rng: np.random.Generator, count: int, limit: float) -> np.ndarray:
    return rng.uniform(-limit, limit, count)
