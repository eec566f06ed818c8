"""What is drawn in a grey image, apart from what it is drawn on and from specks and shadows.

Images are ``(h, w)`` uint8.
"""

from typing import NamedTuple

import numpy as np

from tasks.core.paper import (
    EIGHT,
    SMALL,
    Difference,
    border,
    difference,
    fitted,
    resized,
    strongest,
)

_WORKING = 192  # pixels of the longer side at which ink is looked for
_COARSE = 80  # a figure smaller than this there is looked at again, closer
_FAINTEST = 8  # grey levels that ink differs from paper at least

Box = tuple[slice, slice]


class _Piece(NamedTuple):
    """Connected ink: its number among the labels, its mass, and its share of the border."""

    label: int
    mass: float
    contact: float
    box: Box


def separate(image: np.ndarray) -> np.ndarray:
    """Return the ink of an image, cut to its box: uint8, 0 is paper and 255 full ink.

    Raises
    ------
    ValueError
        If nothing is drawn, with the reason.
    """
    if image.ndim != 2 or min(image.shape) < 1 or image.dtype != np.uint8:
        raise ValueError(f"expected a grey image (h, w) uint8; got {image.dtype} {image.shape}")
    shape = fitted(image.shape, _WORKING)
    if shape == image.shape:
        return _cut(image)[0]
    figure, place = _cut(resized(image, shape))
    if max(figure.shape) >= _COARSE:
        return figure
    return _cut(_closer(image, place, image.shape[0] / shape[0], image.shape[1] / shape[1]))[0]


def _closer(image: np.ndarray, place: Box, down: float, right: float) -> np.ndarray:
    """Return the part of an image around a box that was found in it when it was smaller."""
    around = int(0.6 * max(side.stop - side.start for side in place)) + 3
    rows, columns = (
        slice(int(max(side.start - around, 0) * step), int((side.stop + around) * step))
        for side, step in zip(place, (down, right), strict=True)
    )
    part = image[rows, columns]
    return resized(part, fitted(part.shape, _WORKING))


def _cut(image: np.ndarray) -> tuple[np.ndarray, Box]:
    """Return the ink of an image of working size within its box, and the box."""
    found = difference(image)
    if max(image.shape) <= SMALL and _is_lost(found):
        found = found._replace(noise=0.0, soft_noise=0.0)
    weak, strong, full = _thresholds(found)
    chosen = _figure(found.soft, weak, strong)
    core = chosen & weak
    place = box(core)
    ink = _strength(found, core, chosen, full)[place]
    return np.rint(255 * ink).astype(np.uint8), place


def _is_lost(found: Difference) -> bool:
    """Tell whether a figure that is there would pass for the paper's noise.

    So it is with a thing that fills its frame. Pictures this small are no photographs: what
    differs in them from the paper was drawn.
    """
    top = strongest(found.soft)
    return _FAINTEST <= top < 5 * found.soft_noise


def box(mask: np.ndarray) -> Box:
    """Return the rows and columns from the first true pixel to the last; there has to be one."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def _thresholds(found: Difference) -> tuple[np.ndarray, np.ndarray, float]:
    """Return where there may be ink, where there surely is, and the level of full ink."""
    above, noise = found.soft, found.soft_noise
    top = strongest(above) if noise else float(above.max())
    if top < max(_FAINTEST, 5 * noise):
        raise ValueError(
            f"nothing is drawn: no pixels differ from the paper by {max(_FAINTEST, 5 * noise):.0f}"
            f" grey levels or more; the strongest by {max(top, 0):.0f}"
        )
    if not noise:
        return above > 0.02 * top, above > 0.3 * top, top
    full = float(np.percentile(above[above > max(0.3 * top, 4 * noise)], 75))
    weak = above > max(0.25 * full, 2.5 * noise)
    return weak, above > max(0.5 * full, 4 * noise), full


def _figure(above: np.ndarray, weak: np.ndarray, strong: np.ndarray) -> np.ndarray:
    """Return where the figure is: the heaviest piece of ink, and what belongs to it."""
    from scipy import ndimage

    gap = max(weak.shape) // 50
    joined = ndimage.binary_dilation(weak, EIGHT, iterations=gap) if gap else weak
    labels, count = ndimage.label(joined, EIGHT)
    if count == 1:
        return np.asarray(joined)
    masses = np.bincount(labels[weak], above[weak], count + 1)
    sure = np.bincount(labels[strong], minlength=count + 1) > 0
    around = border(labels)
    contacts = np.bincount(around, minlength=count + 1) / len(around)
    pieces = [
        _Piece(label, masses[label], contacts[label], place)
        for label, place in enumerate(ndimage.find_objects(labels), start=1)
        if sure[label]
    ]
    return np.isin(labels, [piece.label for piece in _belonging(pieces)])


def _belonging(pieces: list[_Piece]) -> list[_Piece]:
    """Return the heaviest piece and those that are no specks beside it and not far from it.

    A piece along much of the border is an edge of the table or a shadow, unless it is all.
    """
    heaviest = max(piece.mass for piece in pieces)
    inside = [piece for piece in pieces if piece.contact <= 0.12]
    if inside and max(piece.mass for piece in inside) >= 0.1 * heaviest:
        pieces = inside
    main = max(pieces, key=lambda piece: piece.mass)
    reach = 0.5 * max(side.stop - side.start for side in main.box)
    return [
        piece
        for piece in pieces
        if piece.mass >= 0.05 * main.mass and _distance(piece.box, main.box) <= reach
    ]


def _distance(one: Box, other: Box) -> int:
    """Return the pixels between two boxes, along the axis in which they are farther apart."""
    gaps = (max(a.start - b.stop, b.start - a.stop, 0) for a, b in zip(one, other, strict=True))
    return max(gaps)


def _strength(found: Difference, core: np.ndarray, chosen: np.ndarray, full: float) -> np.ndarray:
    """Return how much ink there is at each pixel, 0 to 1: between the paper's noise and full."""
    from scipy import ndimage

    if not found.noise:
        return np.clip(found.sharp / full, 0, 1) * core
    small = max(core.shape) < SMALL
    above = (found.sharp + found.soft) / 2 if small else found.sharp
    edge = ndimage.binary_dilation(core, EIGHT, iterations=1 if small else 2)
    low = min(max(0.12 * full, 1.5 * found.noise), 0.8 * full)
    return np.asarray(np.clip((above - low) / (full - low), 0, 1) * (edge & chosen))
