"""Pixels of any kind as grey levels, 0 to 255: colours, opacity, and the ranges in use."""

import numpy as np

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # of ITU-R BT.601, as in Pillow


def to_grey(pixels: np.ndarray) -> np.ndarray:
    """Return pixels ``(h, w)`` or ``(h, w, 1..4)`` of any real dtype as grey ``(h, w)`` uint8.

    Two channels are grey and opacity, three are red, green, blue, four have opacity after
    them; what is transparent becomes white, or black where the rest is light. The range is
    recognised as `to_levels` does.

    Raises
    ------
    ValueError
        If the shape or dtype is another, or a number is not finite.
    """
    levels = to_levels(pixels[None])[0]
    if levels.ndim == 2:
        return levels
    channels = levels.shape[2] if levels.ndim == 3 else 0
    if channels not in (1, 2, 3, 4):
        raise ValueError(f"expected (h, w) or (h, w, 1 to 4) pixels; got {levels.shape}")
    if channels == 1:
        return levels[..., 0]
    grey = levels[..., :3] @ _LUMA if channels >= 3 else levels[..., 0].astype(np.float32)
    if channels in (2, 4):
        opacity = levels[..., -1] / np.float32(255)
        light = (grey * opacity).sum() >= 128 * opacity.sum()
        grey = grey * opacity + (0 if light else 255) * (1 - opacity)
    return np.clip(np.rint(grey), 0, 255).astype(np.uint8)


def to_levels(arrays: np.ndarray) -> np.ndarray:
    """Return arrays ``(n, …)`` of any real dtype as uint8 grey levels, each array by itself.

    A byte is a level, and so is any whole number up to 255. Otherwise a range from 0 to 1 is
    multiplied by 255 (by 256 if all are whole 256ths below 1), one from -1 to 1 is shifted
    first, 16-bit levels are divided by 257, and any other range is stretched from its least
    to its greatest. An array of zeros and ones alone is 0 and 255.

    Raises
    ------
    ValueError
        If the dtype is no real number, or a number is not finite.
    """
    if arrays.dtype.kind not in "biuf":
        raise ValueError(f"expected numbers as pixels; got {arrays.dtype}")
    flat = arrays.reshape(len(arrays), -1)
    if arrays.dtype == np.uint8:
        bitmaps = flat.max(axis=1, initial=0) == 1
        if not bitmaps.any():
            return arrays
        return np.where(bitmaps[:, None], 255 * flat, flat).reshape(arrays.shape)
    levels = _ranged(flat.astype(np.float64)) if flat.size else flat
    return np.rint(levels).astype(np.uint8).reshape(arrays.shape)


def _ranged(values: np.ndarray) -> np.ndarray:
    """Return rows ``(n, pixels)`` float64, each by its own range, as 0 to 255."""
    low, high = values.min(axis=1), values.max(axis=1)
    if not (np.isfinite(low) & np.isfinite(high)).all():
        raise ValueError("expected finite numbers as pixels; got NaN or infinity")
    scale, start = np.ones(len(values)), np.zeros(len(values))
    unit = (low >= 0) & (high <= 1)
    scale[unit] = 255
    for row in np.flatnonzero(unit & (high < 1)):
        if np.array_equal(np.rint(values[row] * 256), values[row] * 256):
            scale[row] = 256
    scale[(low >= 0) & (high > 255) & (high <= 65535)] = 1 / 257
    signed = (low < 0) & (low >= -1) & (high <= 1)
    scale[signed], start[signed] = 127.5, -1
    other = ((low < 0) & ~signed) | (high > 65535)
    scale[other], start[other] = 255 / np.maximum(high - low, 1e-300)[other], low[other]
    return (values - start[:, None]) * scale[:, None]
