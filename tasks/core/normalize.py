"""Any image of one drawn figure, brought to MNIST's convention: docs/images.md tells the rule.

The convention, which each of MNIST's 70,000 images meets: 28x28 pixels, background 0, the
strongest ink 254 or 255, the ink in a box whose longer side is 19 or 20 pixels, its centre of
mass within half a pixel (and what rounding adds) of pixel 14, 14. An image that meets it passes
unchanged.
"""

import numpy as np

from tasks.core import ink

SIDE = 28
BOX = 20
"""Pixels of the longer side of the ink's box."""
CENTRE = 14.0
"""Where the centre of mass belongs, counted in pixels from the centre of pixel 0."""

_OFF_CENTRE = 0.53  # MNIST's farthest is 0.52
_SHORTEST, _FULL = 19, 254
_FAINT = 5  # grey levels that are no ink
_FEW = 10  # pixels of a figure so small that each is a good part of it
_PLACES = np.arange(BOX)
_POSITIONS = np.arange(SIDE, dtype=np.float32)
_SUMS = np.stack([np.ones(784), np.repeat(_POSITIONS, SIDE), np.tile(_POSITIONS, SIDE)], axis=1)
_SUMS = _SUMS.astype(np.float32)


def follows_convention(images: np.ndarray) -> np.ndarray:
    """Return which of the images ``(n, h, w)`` uint8 meet the convention, ``(n,)`` bool."""
    if images.shape[1:] != (SIDE, SIDE) or images.dtype != np.uint8 or not len(images):
        return np.zeros(len(images), bool)
    flat = np.ascontiguousarray(images).reshape(-1, SIDE * SIDE)
    # Float32 holds these sums exactly: 784 x 255 x 27 is below 2**24.
    total, down, right = (flat.astype(np.float32) @ _SUMS).T
    far = _OFF_CENTRE * total
    central = (np.abs(down - CENTRE * total) <= far) & (np.abs(right - CENTRE * total) <= far)
    height, width = _extents(flat)
    longest = np.maximum(height, width)
    sized = (longest >= _SHORTEST) & (longest <= BOX)
    full: np.ndarray = flat.max(axis=1) >= _FULL
    return central & sized & full


def _extents(flat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and columns from the first with ink to the last, of images ``(n, 784)``."""
    words = flat.view(np.uint32).reshape(-1, SIDE, SIDE // 4)
    rows = np.bitwise_or.reduce(words, axis=2) != 0
    columns = np.bitwise_or.reduce(words, axis=1).view(np.uint8) != 0
    return _extent(rows), _extent(columns)


def _extent(lit: np.ndarray) -> np.ndarray:
    last: np.ndarray = SIDE - lit[:, ::-1].argmax(axis=1)
    return last - lit.argmax(axis=1)


def normalize(image: np.ndarray) -> np.ndarray:
    """Return one grey image ``(h, w)`` uint8 by the convention: ``(28, 28)`` uint8.

    Raises
    ------
    ValueError
        If nothing is drawn, with the reason.
    """
    if follows_convention(image[None])[0]:
        return image.copy()
    return bring(image)


def bring(image: np.ndarray) -> np.ndarray:
    """Do what `normalize` does, with an image that is known not to meet the convention yet."""
    image = _placed(_resized(ink.separate(image)))
    # A shape whose centre of mass cannot be central (a blot at the end of a line) has to settle.
    for _ in range(8):
        if follows_convention(image[None])[0]:
            break
        again = _placed(_resized(ink.separate(image)))
        if np.array_equal(again, image):
            break
        image = again
    return image


def _resized(figure: np.ndarray) -> np.ndarray:
    """Return ink ``(h, w)`` uint8, cut to its box, with a longer side of 20; proportions kept."""
    longest = max(figure.shape)
    if not _SHORTEST <= longest <= BOX:
        # Few pixels are cut where they hold ink: half of one is paper, beyond the edge.
        figure = _scaled_to_box(figure, 0.5 if longest <= _FEW else 0.0)
    figure = _full_ink(figure)
    return figure if max(figure.shape) >= _SHORTEST else _resized(_scaled_to_box(figure, 0.0))


def _scaled_to_box(figure: np.ndarray, margin: float) -> np.ndarray:
    """Resample the figure and ``margin`` pixels of paper around it to a longer side of 20."""
    from PIL import Image

    paper = int(margin > 0)
    height, width = figure.shape
    scale = BOX / (max(height, width) + 2 * margin)
    size = (max(1, round((side + 2 * margin) * scale)) for side in (width, height))
    start = paper - margin
    box = (start, start, start + width + 2 * margin, start + height + 2 * margin)
    picture = Image.fromarray(np.pad(figure, paper))
    return np.asarray(picture.resize(tuple(size), Image.Resampling.BICUBIC, box))


def _full_ink(figure: np.ndarray) -> np.ndarray:
    """Return the figure with its strongest ink at 255 and without the faintest, in its box."""
    full = np.rint(figure * (255 / figure.max())).astype(np.uint8)
    full[full <= _FAINT] = 0
    return full[ink.box(full > 0)]


def _placed(figure: np.ndarray) -> np.ndarray:
    """Return the figure on 28x28, shifted by whole pixels until its centre of mass is central."""
    profiles = figure.sum(axis=1, dtype=np.int64), figure.sum(axis=0, dtype=np.int64)
    total = profiles[0].sum()
    top, left = (
        np.clip(round(CENTRE - (profile @ _PLACES[: len(profile)]) / total), 0, SIDE - len(profile))
        for profile in profiles
    )
    image = np.zeros((SIDE, SIDE), np.uint8)
    image[top : top + figure.shape[0], left : left + figure.shape[1]] = figure
    return image
