"""NumPy's npy and npz, read row by row: nothing is allocated because a header promises it."""

import math
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from tasks.io.readers.rows import BUDGET, Block, FormatError, Part, block, flat_labels, image_shape

DAMAGE = (OSError, ValueError, EOFError, zlib.error, zipfile.BadZipFile)
"""What a damaged file makes its reader raise."""
_MOST_LABELS = 1 << 28  # bytes
Opener = Callable[[], IO[bytes]]


class _Header(NamedTuple):
    shape: tuple[int, ...]
    dtype: np.dtype
    by_column: bool


def npy(path: Path) -> list[Part]:
    """Return the rows of an npy file; labels stand beside it: images.npy and labels.npy."""
    labels = None
    if (partner := labels_beside(path)) is not None:
        labels = load_labels(lambda: partner.open("rb"), partner.name)
    return [stored(lambda: path.open("rb"), path.name, labels)]


def labels_beside(path: Path) -> Path | None:
    """Return the npy file with the labels of another one's images, by its name."""
    for images, labels in (("images", "labels"), ("image", "label"), ("x", "y"), ("X", "y")):
        stem, changed = re.subn(rf"(?<![A-Za-z]){images}(?![A-Za-z])", labels, path.stem)
        if changed and (partner := path.with_name(stem + path.suffix)).is_file():
            return partner
    return None


def npz(path: Path) -> list[Part]:
    """Return the splits of an npz: Keras' x_train …, or x and y, images and labels, arr_0."""
    archive = zipfile.ZipFile(path)
    entries = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
    parts = []
    for split, (images, labels) in paired(entries).items():
        truth = load_labels(_entry(path, labels), labels) if labels is not None else None
        parts.append(stored(_entry(path, images), images, truth, split))
    return parts


def _entry(path: Path, name: str) -> Opener:
    return lambda: zipfile.ZipFile(path).open(f"{name}.npy")


_IMAGES = {"x", "images", "image", "data", "img", "imgs", "pixels", "arr_0"}
_LABELS = {"y", "labels", "label", "target", "targets", "class", "classes", "arr_1"}


def paired(entries: list[str]) -> dict[str, tuple[str, str | None]]:
    """Return the names of images and of their labels by split, given the names in a container.

    Raises
    ------
    FormatError
        If none is known to be images.
    """
    images, labels = dict[str, str](), dict[str, str]()
    for entry in entries:
        words = [word for word in re.split(r"[_\W]+", entry.lower()) if word]
        split = next((word for word in words if word in ("train", "test", "val")), "")
        kind = "_".join(word for word in words if word != split)
        if kind in _IMAGES:
            images.setdefault(split, entry)
        elif kind in _LABELS:
            labels.setdefault(split, entry)
    if not images and len(entries) == 1:
        images[""] = entries[0]
    if not images:
        wanted = "x_train and y_train, x and y, images and labels, or arr_0"
        raise FormatError(f"expected arrays named {wanted}; got {', '.join(entries) or 'none'}")
    return {split: (name, labels.get(split)) for split, name in sorted(images.items(), key=_order)}


def _order(item: tuple[str, str]) -> tuple[int, str]:
    return (("train", "val", "test").index(item[0]) if item[0] else -1), item[0]


def stored(open_: Opener, what: str, labels: np.ndarray | None, split: str = "") -> Part:
    """Return an npy stream ``(n, …)`` as a part."""
    with open_() as file:
        header = _header(file, what)
    if len(header.shape) < 2:
        raise FormatError(f"{what}: expected images (n, height, width); got {header.shape}")
    shape = image_shape(header.shape[1:], what)
    if labels is not None and len(labels) != header.shape[0]:
        raise FormatError(f"{what}: {header.shape[0]} images, but {len(labels)} labels")
    if header.by_column and len(header.shape) > 1:
        raise FormatError(f"{what}: the array is stored by column; save np.ascontiguousarray of it")

    def blocks(skip: int, rows: int) -> Iterator[Block]:
        with open_() as file:
            for start, array in _rows(file, what, skip, rows):
                yield block(array.reshape(-1, *shape), labels, start)

    return Part(split, header.shape[0], labels is not None, blocks)


def _rows(file: IO[bytes], what: str, skip: int, rows: int) -> Iterator[tuple[int, np.ndarray]]:
    (count, *shape), dtype, _ = _header(file, what)
    size = math.prod(shape) * dtype.itemsize
    file.seek(size * skip, 1)
    most = max(1, min(rows, BUDGET // size))
    for start in range(skip, count, most):
        wanted = min(most, count - start)
        content = file.read(wanted * size)
        held = len(content) // size
        if held:
            array = np.frombuffer(content, dtype, held * math.prod(shape))
            yield start, array.reshape(held, *shape)
        if held < wanted:
            raise FormatError(f"{what}: {count} rows promised, but it ends in row {start + held}")


def load_labels(open_: Opener, what: str) -> np.ndarray:
    """Return the labels ``(n,)`` in an npy stream."""
    with open_() as file:
        header = _header(file, what)
    if math.prod(header.shape) * header.dtype.itemsize > _MOST_LABELS:
        raise FormatError(f"{what}: {header.shape} {header.dtype} are too many for labels")
    with open_() as file:
        return flat_labels(np.lib.format.read_array(file, allow_pickle=False), what)


def _header(file: IO[bytes], what: str) -> _Header:
    try:
        version = np.lib.format.read_magic(file)
        if version == (1, 0):
            shape, by_column, dtype = np.lib.format.read_array_header_1_0(file)
        else:
            shape, by_column, dtype = np.lib.format.read_array_header_2_0(file)
    except DAMAGE as error:
        raise FormatError(f"{what}: expected an npy array; {error}") from None
    if dtype.hasobject or not dtype.itemsize or min(shape, default=1) < 0:
        raise FormatError(f"{what}: expected numbers; got {dtype} {shape}")
    return _Header(shape, dtype, by_column)
