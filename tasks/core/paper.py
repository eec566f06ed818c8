"""What a figure is drawn on: its brightness at each pixel, seen past the figure and the light.

Images are ``(h, w)`` uint8; surfaces float32 of the same shape, in grey levels.
"""

import functools
from typing import NamedTuple

import numpy as np

SMALL = 40
"""Pixels of the longer side below which an image has no room for more than a plane of light."""
EIGHT = np.ones((3, 3), bool)
"""Pixels that touch by a side or a corner are neighbours."""

_MEDIAN_SIDE, _MEDIAN_WINDOW = 24, 17
_FILL_SIDE = 48
_ROUNDS = 3


class Difference(NamedTuple):
    """How much more than its paper each pixel is, ink positive, and the paper's noise.

    ``soft`` is the same after a slight blur, in which noise weighs less; ``soft_noise`` is
    what is left of it there. Noise is a standard deviation in grey levels; 0: flat paper.
    """

    sharp: np.ndarray
    soft: np.ndarray
    noise: float
    soft_noise: float


def difference(image: np.ndarray) -> Difference:
    """Return what stands out of the paper, whether it is darker or lighter than it."""
    level = flat_level(image)
    if level is not None:
        above = image - np.float32(level)
        if above.sum() < 0:
            above = -above
        return Difference(above, above, 0.0, 0.0)
    return _out_of_uneven(image)


def flat_level(image: np.ndarray) -> int | None:
    """Return the paper's one grey level where it has one, as in what no camera took.

    Along the border, a level that is flat makes up a good part and stays when met; noise
    comes and goes.
    """
    around = border(image)
    level = int(np.bincount(around, minlength=256).argmax())
    there = around == level
    share = np.count_nonzero(there) / len(there)
    stays = np.count_nonzero(there & np.append(there[1:], there[0])) / np.count_nonzero(there)
    return level if share >= 0.3 and stays >= 0.75 else None


def border(image: np.ndarray) -> np.ndarray:
    """Return the pixels along the border, in their order around the image."""
    if min(image.shape) == 1:
        return image.ravel()
    return np.concatenate([image[0], image[1:, -1], image[-1, -2::-1], image[-2:0:-1, 0]])


def strongest(values: np.ndarray) -> float:
    """Return the value that only a few pixels exceed, so that no single one decides."""
    few = min(max(2, values.size // 2500), values.size)
    return float(np.partition(values, values.size - few, axis=None)[-few])


def resized(image: np.ndarray, shape: tuple[int, int], smooth: bool = False) -> np.ndarray:
    """Return an image of another shape: averages of what it covers, or linear in between."""
    from PIL import Image

    how = Image.Resampling.BILINEAR if smooth else Image.Resampling.BOX
    return np.asarray(Image.fromarray(image).resize(shape[::-1], how))


def fitted(shape: tuple[int, ...], side: int) -> tuple[int, int]:
    """Return the shape whose longer side is at most ``side``, proportions kept."""
    factor = max(max(shape) / side, 1)
    return max(1, round(shape[0] / factor)), max(1, round(shape[1] / factor))


def _out_of_uneven(image: np.ndarray) -> Difference:
    """Find ink and paper in turns: each shows the other more clearly."""
    from scipy import ndimage

    small = max(image.shape) < SMALL
    blur, left = (0.7, 0.5) if small else (1.0, 0.4)
    values = image.astype(np.float32)
    soft = ndimage.gaussian_filter(values, blur)
    surface = np.float32(np.median(border(image))) if small else _median(image)
    for _ in range(_ROUNDS):
        sign = _side(soft - surface)
        ink = _inked(sign * (soft - surface), 0 if small else 1 if max(image.shape) < 64 else 2)
        if ink.all():
            break
        surface = _plane(values, ~ink) if small else _filled(values, ~ink)
    sharp, seen = sign * (values - surface), sign * (soft - surface)
    paper = sharp[~ink] if not ink.all() else sharp
    noise = max(1.4826 * float(np.median(np.abs(paper - np.median(paper)))), 1.0)
    return Difference(sharp, seen, noise, left * noise)


def _side(above: np.ndarray) -> int:
    """Return 1 if what deviates most is lighter than the paper, -1 if darker."""
    far = 0.6 * max(strongest(above), strongest(-above))
    return 1 if np.count_nonzero(above > far) >= np.count_nonzero(above < -far) else -1


def _inked(above: np.ndarray, grown: int) -> np.ndarray:
    """Return what is surely not paper, a little wider than it is."""
    from scipy import ndimage

    below = -above[above <= 0]
    noise = 1.4826 * float(np.median(below)) if below.size else 0.0
    ink = above > max(0.25 * strongest(above), 3 * noise)
    return np.asarray(ndimage.binary_dilation(ink, EIGHT, iterations=grown)) if grown else ink


def _median(image: np.ndarray) -> np.ndarray:
    """Return the median of a wide window: ink is less than half of it, and edges of light stay."""
    from scipy import ndimage

    coarse = resized(image, fitted(image.shape, _MEDIAN_SIDE))
    medians = ndimage.median_filter(coarse, _MEDIAN_WINDOW, mode="nearest")
    return resized(medians.astype(np.float32), image.shape[:2], smooth=True)


def _plane(values: np.ndarray, paper: np.ndarray) -> np.ndarray:
    """Return the plane of brightness through the pixels of paper, by least squares."""
    terms = _terms(values.shape)
    known = terms[:, paper]
    ridge = 1e-3 * known.shape[1] * np.eye(3)  # a line of paper alone tells no slope across it
    weights = np.linalg.solve(known @ known.T + ridge, known @ values[paper])
    return np.tensordot(weights, terms, 1).astype(np.float32)


@functools.lru_cache(16)
def _terms(shape: tuple[int, int]) -> np.ndarray:
    """Return ``(3, h, w)``: one, and how far down and to the right, from -1 to 1."""
    down, right = np.mgrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j].astype(np.float32)
    return np.stack([np.ones_like(down), down, right])


def _filled(values: np.ndarray, paper: np.ndarray) -> np.ndarray:
    """Return the paper's brightness, under the ink as around it: near paper first, then far."""
    from scipy import ndimage

    shape = fitted(values.shape, _FILL_SIDE)
    share = resized(paper.astype(np.float32), shape)
    known = resized(np.where(paper, values, 0), shape)
    surface, missing = np.zeros(shape, np.float32), np.ones(shape, np.float32)
    for reach in (max(shape) / part for part in (32, 16, 8, 3)):
        near = ndimage.gaussian_filter(share, reach, mode="nearest")
        total = ndimage.gaussian_filter(known, reach, mode="nearest")
        sure = np.clip(2 * near, 0, 1) * missing
        surface += sure * total / np.maximum(near, 1e-6)
        missing -= sure
    surface += missing * (known.sum() / max(share.sum(), 1e-6))
    return resized(surface, values.shape, smooth=True)
