"""Damage that digits meet in the world, in three strengths: shifted, turned, blurred, covered.

Kinds after Mu and Gilmer, "MNIST-C: a robustness benchmark for computer vision", 2019; a
person still reads every digit. Images are ``(n, 28, 28)`` uint8, 0 is background.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

Damage = Callable[[np.ndarray, float, np.random.Generator], np.ndarray]


class Corruption(NamedTuple):
    """A kind of damage and its three strengths, the mildest first, with their unit."""

    damage: Damage
    severities: tuple[float, float, float]
    unit: str


def corrupt(images: np.ndarray, kind: str, severity: int, seed: int) -> np.ndarray:
    """Return the images damaged by ``kind`` (a key of `CORRUPTIONS`) at ``severity`` 0 to 2.

    What is random (directions, places, noise) follows from ``seed``, kind and severity alone.
    """
    corruption = CORRUPTIONS[kind]
    rng = np.random.default_rng([seed, list(CORRUPTIONS).index(kind), severity])
    damaged = corruption.damage(
        images.astype(np.float32), float(corruption.severities[severity]), rng
    )
    return np.clip(np.rint(damaged), 0, 255).astype(np.uint8)


def _shift(images: np.ndarray, pixels: float, rng: np.random.Generator) -> np.ndarray:
    """Move each image by so many pixels in a direction of its own."""
    angles = rng.uniform(0, 2 * np.pi, len(images))
    offsets = pixels * np.stack([np.sin(angles), np.cos(angles)], axis=1)
    return _affine(images, np.broadcast_to(np.eye(2), (len(images), 2, 2)), offsets)


def _rotation(images: np.ndarray, degrees: float, rng: np.random.Generator) -> np.ndarray:
    """Turn each image by so many degrees, either way."""
    angles = np.deg2rad(degrees) * rng.choice([-1, 1], len(images))
    cosine, sine = np.cos(angles), np.sin(angles)
    return _affine(images, np.stack([cosine, -sine, sine, cosine], axis=1).reshape(-1, 2, 2))


def _scale(images: np.ndarray, factor: float, rng: np.random.Generator) -> np.ndarray:
    """Shrink each image to this fraction of its height and width."""
    return _affine(images, np.broadcast_to(np.eye(2) / factor, (len(images), 2, 2)))


def _shear(images: np.ndarray, slope: float, rng: np.random.Generator) -> np.ndarray:
    """Slant each image by so many pixels a pixel of height, either way."""
    matrices = np.tile(np.eye(2), (len(images), 1, 1))
    matrices[:, 1, 0] = slope * rng.choice([-1, 1], len(images))
    return _affine(images, matrices)


def _affine(
    images: np.ndarray, matrices: np.ndarray, offsets: np.ndarray | None = None
) -> np.ndarray:
    """Read each image through a matrix ``(2, 2)`` around its centre, then an offset in pixels."""
    from scipy.ndimage import affine_transform

    centre = (np.array(images.shape[1:]) - 1) / 2
    starts = centre - matrices @ centre
    starts = starts if offsets is None else starts + offsets
    moved = [
        affine_transform(image, matrix, start, order=1)
        for image, matrix, start in zip(images, matrices, starts, strict=True)
    ]
    return np.stack(moved)


def _blur(images: np.ndarray, sigma: float, rng: np.random.Generator) -> np.ndarray:
    """Blur by a Gaussian of this standard deviation in pixels."""
    from scipy.ndimage import gaussian_filter

    return np.asarray(gaussian_filter(images, (0, sigma, sigma)))


def _noise(images: np.ndarray, deviation: float, rng: np.random.Generator) -> np.ndarray:
    """Add Gaussian noise of this standard deviation in grey levels."""
    return images + rng.normal(0, deviation, images.shape)


def _contrast(images: np.ndarray, factor: float, rng: np.random.Generator) -> np.ndarray:
    """Bring grey levels to this fraction of their distance from the middle grey of a page."""
    return 128 + factor * (images - 128)


def _fading(images: np.ndarray, factor: float, rng: np.random.Generator) -> np.ndarray:
    """Let the ink fade to this fraction; the background stays."""
    return factor * images


def _occlusion(images: np.ndarray, side: float, rng: np.random.Generator) -> np.ndarray:
    """Cover a square of so many pixels a side, somewhere in the middle 20x20 pixels."""
    covered, length = images.copy(), int(side)
    corners = rng.integers(4, 25 - length, (len(images), 2))
    for image, (top, left) in zip(covered, corners, strict=True):
        image[top : top + length, left : left + length] = 0
    return covered


def _thicker(images: np.ndarray, pixels: float, rng: np.random.Generator) -> np.ndarray:
    """Widen the strokes by so many pixels."""
    from scipy.ndimage import grey_dilation

    return _between(images, pixels, lambda step: grey_dilation(images, (1, 1 + step, 1 + step)))


def _thinner(images: np.ndarray, pixels: float, rng: np.random.Generator) -> np.ndarray:
    """Narrow the strokes by so many pixels."""
    from scipy.ndimage import grey_erosion

    return _between(images, pixels, lambda step: grey_erosion(images, (1, 1 + step, 1 + step)))


def _between(images: np.ndarray, pixels: float, changed: Callable[[int], np.ndarray]) -> np.ndarray:
    """Mix what whole numbers of pixels give for a number between them."""
    whole = int(pixels)
    part = pixels - whole
    return (1 - part) * changed(whole) + part * changed(whole + 1)


CORRUPTIONS = {
    "shift": Corruption(_shift, (2, 3, 4), "pixels"),
    "rotation": Corruption(_rotation, (15, 25, 35), "degrees"),
    "scale": Corruption(_scale, (0.8, 0.7, 0.6), "of the size"),
    "shear": Corruption(_shear, (0.25, 0.4, 0.55), "pixels a pixel"),
    "blur": Corruption(_blur, (0.8, 1.2, 1.6), "pixels"),
    "noise": Corruption(_noise, (30, 60, 90), "grey levels"),
    "contrast": Corruption(_contrast, (0.7, 0.5, 0.3), "of the contrast"),
    "fading": Corruption(_fading, (0.6, 0.4, 0.2), "of the ink"),
    "occlusion": Corruption(_occlusion, (5, 7, 9), "pixels a side"),
    "thicker": Corruption(_thicker, (1, 2, 3), "pixels"),
    "thinner": Corruption(_thinner, (0.5, 1, 1.5), "pixels"),
}
"""Every kind by name."""
