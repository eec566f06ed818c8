"""MATLAB's mat files up to version 7, such as SciPy's and OpenML's mnist-original."""

import math
from pathlib import Path

import numpy as np

from tasks.io.readers.arrays import paired
from tasks.io.readers.rows import FormatError, Part, flat_labels, image_shape, upright, whole

_MOST = 1 << 30  # numbers: such a file is read as a whole


def mat(path: Path) -> list[Part]:
    """Return the splits of a mat file: data and label, X and y, images and labels, and the like.

    Images may stand in rows or in columns ``(784, n)``, or along the last of three or four
    axes, as MATLAB likes it.
    """
    from scipy.io import whosmat
    from scipy.io.matlab import MatReadError

    try:
        found = {name: shape for name, shape, _ in whosmat(path)}
        parts = []
        for split, (images, labels) in paired(list(found)).items():
            parts.append(_part(path, found, images, labels, split))
    except NotImplementedError:
        raise FormatError("expected MATLAB's version 5 to 7; save it with -v7") from None
    except (MatReadError, TypeError, KeyError, IndexError, MemoryError) as error:
        raise FormatError(f"expected a mat file; {error}") from None
    return parts


def _part(
    path: Path, found: dict[str, tuple[int, ...]], images: str, labels: str | None, split: str
) -> Part:
    from scipy.io import loadmat

    if math.prod(found[images]) > _MOST:
        raise FormatError(f"{images}: {found[images]} is too much for a mat file; save it as npy")
    wanted = [name for name in (images, labels) if name is not None]
    arrays = loadmat(path, variable_names=wanted)
    truth = None if labels is None else flat_labels(arrays[labels], labels)
    pixels = _in_rows(arrays[images], None if truth is None else len(truth))
    if truth is not None and len(truth) != len(pixels):
        raise FormatError(f"{images}: {len(pixels)} images, but {len(truth)} labels")
    shape = image_shape(pixels.shape[1:], images)
    return whole(upright(pixels.reshape(-1, *shape)), truth, split)


def _in_rows(pixels: np.ndarray, count: int | None) -> np.ndarray:
    """Return pixels with the images along the first axis, where they may be along the last."""
    first, last = pixels.shape[0], pixels.shape[-1]
    if count is None:
        turned = pixels.ndim == 2 and math.isqrt(first) ** 2 == first and first >= 64
        turned = turned and math.isqrt(last) ** 2 != last
    else:
        turned = last == count != first
    return np.moveaxis(pixels, -1, 0) if turned else pixels
