"""A few numbers that describe an image: what `validate` checks and the drift report compares."""

import hashlib

import numpy as np

NAMES = (
    "ink",
    "mean",
    "std",
    "min",
    "max",
    "centre_x",
    "centre_y",
    "left",
    "top",
    "width",
    "height",
)
"""The columns of `features`, in their order."""

_BATCH = 4096  # images at a time: bounds the memory of the wider intermediate arrays


def features(images: np.ndarray) -> dict[str, np.ndarray]:
    """Return the columns `NAMES`, each float64 ``(n,)``, of uint8 images ``(n, h, w)``.

    ============== ====================================================================
    ink            share of the pixels that are not background (0), 0 to 1
    mean, std      mean and standard deviation of all pixels, in grey levels 0 to 255
    min, max       darkest and brightest pixel, in grey levels
    centre_x, _y   centre of mass, in pixels from the left and from the top edge
    left, top      first column and row with ink, counted from 0
    width, height  columns and rows from the first with ink to the last
    ============== ====================================================================

    An image without ink has no centre and no bounding box: those are NaN.
    """
    batches = [_batch(images[i : i + _BATCH]) for i in range(0, max(len(images), 1), _BATCH)]
    return {name: np.concatenate([batch[name] for batch in batches]) for name in NAMES}


def hashes(images: np.ndarray) -> np.ndarray:
    """Return the SHA-256 of each image's bytes, as hex text ``(n,)``."""
    digests = [hashlib.sha256(image.tobytes()).hexdigest() for image in images]
    return np.array(digests, dtype="U64")


def _batch(images: np.ndarray) -> dict[str, np.ndarray]:
    pixels = images.shape[1] * images.shape[2]
    lit = images > 0
    # Whole numbers until the last division: the same result on every machine.
    rows = images.sum(axis=2, dtype=np.int64)
    columns = images.sum(axis=1, dtype=np.int64)
    total = rows.sum(axis=1)
    squares = (images.astype(np.int64) ** 2).sum(axis=(1, 2))
    left, width = _extent(columns > 0)
    top, height = _extent(rows > 0)
    return {
        "ink": lit.sum(axis=(1, 2)) / pixels,
        "mean": total / pixels,
        "std": np.sqrt(pixels * squares - total**2) / pixels,
        "min": images.min(axis=(1, 2)).astype(np.float64),
        "max": images.max(axis=(1, 2)).astype(np.float64),
        "centre_x": _centre(columns, total),
        "centre_y": _centre(rows, total),
        "left": left,
        "top": top,
        "width": width,
        "height": height,
    }


def _centre(profile: np.ndarray, total: np.ndarray) -> np.ndarray:
    """Return the mean position in each profile ``(n, length)``; NaN where its total is 0."""
    moment = profile @ np.arange(profile.shape[1])
    centre = np.full(len(profile), np.nan)
    return np.divide(moment, total, out=centre, where=total > 0)


def _extent(lit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the first true position in each row ``(n, length)`` and the span to the last."""
    some = lit.any(axis=1)
    first = lit.argmax(axis=1)
    span = lit.shape[1] - lit[:, ::-1].argmax(axis=1) - first
    return np.where(some, first, np.nan), np.where(some, span, np.nan)
