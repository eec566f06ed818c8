"""MATLAB's files, such as mnist-original.mat: one image a column."""

from pathlib import Path

import numpy as np

from tasks.io.readers.rows import FormatError, Part, flat_labels, image_shape, whole

_LARGEST = 1 << 30
"""Bytes of the largest file that is opened: the format is read as a whole."""
_IMAGES = ("data", "X", "x", "images")
_LABELS = ("label", "labels", "y", "Y", "target")


def mat(path: Path) -> list[Part]:
    """Return the rows of a mat file up to version 7: data ``(784, n)`` or ``(n, 784)``, label."""
    from scipy.io import loadmat

    if path.stat().st_size > _LARGEST:
        raise FormatError(f"expected at most {_LARGEST} bytes; save it as npz, which is streamed")
    try:
        content = loadmat(path)
    except NotImplementedError:
        raise FormatError("MATLAB 7.3 files are not read; save it with -v7, or as npz") from None
    except Exception as error:  # a damaged file raises errors of many kinds
        raise FormatError(f"expected a mat file; {' '.join(str(error).split())}") from None
    arrays = {name: value for name, value in content.items() if not name.startswith("__")}
    name = next((name for name in _IMAGES if name in arrays), None)
    if name is None:
        raise FormatError(f"expected data and label; got {', '.join(arrays) or 'nothing'}")
    label = next((arrays[key] for key in _LABELS if key in arrays), None)
    labels = None if label is None else flat_labels(np.asarray(label), path.name)
    images = _by_row(np.asarray(arrays[name]), labels, path.name)
    return [whole(images, labels)]


def _by_row(images: np.ndarray, labels: np.ndarray | None, what: str) -> np.ndarray:
    """Return the images one a row, ``(n, h, w)``; MATLAB's habit is one a column."""
    if images.ndim == 2:
        columns = labels is not None and images.shape[1] == len(labels) != images.shape[0]
        images = images.T if columns or (labels is None and images.shape[0] == 784) else images
    if labels is not None and len(labels) != len(images):
        raise FormatError(f"{what}: {len(images)} images, but {len(labels)} labels")
    return images.reshape(len(images), *image_shape(images.shape[1:], what))
