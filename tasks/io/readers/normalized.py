"""Blocks as they are stored, brought to MNIST's convention."""

import numpy as np

from tasks.core.grey import to_grey, to_levels
from tasks.core.normalize import SIDE, bring, follows_convention
from tasks.io.readers.rows import Block


def normalized(block: Block) -> tuple[np.ndarray, list[str | None]]:
    """Return images ``(n, 28, 28)`` uint8 by the convention and faults, those found now added.

    The row of a fault holds zeros.
    """
    if isinstance(block.images, list):
        return _one_by_one(block.images, block.faults)
    try:
        levels = to_levels(block.images)
    except ValueError:  # some row's: each has to be looked at
        return _one_by_one(list(block.images), block.faults)
    if levels.ndim == 4 and levels.shape[3] == 1:
        levels = levels[..., 0]
    return _together(levels, block.faults)


def _together(levels: np.ndarray, faults: list[str | None]) -> tuple[np.ndarray, list[str | None]]:
    ready = follows_convention(levels)
    if ready.all() and not any(faults):
        return levels, faults
    images, faults = np.zeros((len(faults), SIDE, SIDE), np.uint8), list(faults)
    if ready.any():
        images[ready] = levels[ready]
    for row in np.flatnonzero(~ready):
        if faults[row] is None:
            images[row], faults[row] = _brought(levels[row])
    images[[fault is not None for fault in faults]] = 0
    return images, faults


def _one_by_one(
    arrays: list[np.ndarray], faults: list[str | None]
) -> tuple[np.ndarray, list[str | None]]:
    images, faults = np.zeros((len(arrays), SIDE, SIDE), np.uint8), list(faults)
    for row, array in enumerate(arrays):
        if faults[row] is None:
            images[row], faults[row] = _brought(array)
    return images, faults


def _brought(array: np.ndarray) -> tuple[np.ndarray, str | None]:
    try:
        grey = to_grey(array)
        return (grey if follows_convention(grey[None])[0] else bring(grey)), None
    except ValueError as error:
        return np.zeros((SIDE, SIDE), np.uint8), str(error)
