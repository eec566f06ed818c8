"""NumPy's npy and npz, read row by row: nothing is allocated because a header promises it."""

import math
import re
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from tasks.io.readers.rows import (
    BUDGET,
    Block,
    FormatError,
    Part,
    block,
    flat_labels,
    image_shape,
    upright,
    whole,
)

DAMAGE = (OSError, ValueError, EOFError, zlib.error, zipfile.BadZipFile, NotImplementedError)
"""What a damaged file makes its reader raise."""

_MOST_LABELS = 1 << 28  # bytes
_PAIRS = (("images", "labels"), ("image", "label"), ("x", "y"), ("X", "y"))
_IMAGES = {"x", "images", "image", "data", "img", "imgs", "pixels", "features", "arr_0"}
_LABELS = {"y", "labels", "label", "target", "targets", "class", "classes", "arr_1"}

Opener = Callable[[], IO[bytes]]


class _Header(NamedTuple):
    shape: tuple[int, ...]
    dtype: np.dtype
    by_column: bool
    start: int  # bytes before the first number

    @property
    def row(self) -> int:
        """Return the bytes of a row."""
        return math.prod(self.shape[1:]) * self.dtype.itemsize


def npy(path: Path) -> list[Part]:
    """Return the rows of an npy file; labels stand beside it: images.npy and labels.npy."""
    labels = None
    if (partner := labels_beside(path)) is not None:
        labels = load_labels(lambda: partner.open("rb"), partner.name)
    return [stored(lambda: path.open("rb"), path.name, labels)]


def labels_beside(path: Path) -> Path | None:
    """Return the npy file with the labels of another one's images, by its name."""
    return _partner(path, _PAIRS)


def images_beside(path: Path) -> Path | None:
    """Return the npy file with the images of another one's labels, by its name."""
    return _partner(path, [pair[::-1] for pair in _PAIRS])


def _partner(path: Path, pairs: Sequence[tuple[str, str]]) -> Path | None:
    for old, new in pairs:
        stem, changed = re.subn(rf"(?<![A-Za-z]){old}(?![A-Za-z])", new, path.stem)
        if changed and (partner := path.with_name(stem + path.suffix)).is_file():
            return partner
    return None


def npz(path: Path) -> list[Part]:
    """Return the splits of an npz: Keras' x_train …, or x and y, images and labels, arr_0."""
    with zipfile.ZipFile(path) as archive:
        inside = archive.namelist()
    entries = [name.removesuffix(".npy") for name in inside if name.endswith(".npy")]
    if not entries:
        raise FormatError("expected an npz, a zip of npy arrays; unpack other archives")
    parts = []
    for split, (images, labels) in paired(entries).items():
        truth = load_labels(_entry(path, labels), labels) if labels is not None else None
        parts.append(stored(_entry(path, images), images, truth, split))
    return parts


def _entry(path: Path, name: str) -> Opener:
    def opened() -> IO[bytes]:
        with zipfile.ZipFile(path) as archive:  # an open entry keeps the file itself open
            return archive.open(f"{name}.npy")

    return opened


def paired(entries: Sequence[str]) -> dict[str, tuple[str, str | None]]:
    """Return the names of images and of their labels by split, given the names in a container.

    Raises
    ------
    FormatError
        If none is known to be images.
    """
    images: dict[str, str] = {}
    labels: dict[str, str] = {}
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
    order = sorted(images, key=("", "train", "val", "test").index)
    return {split: (images[split], labels.get(split)) for split in order}


def stored(open_: Opener, what: str, labels: np.ndarray | None, split: str = "") -> Part:
    """Return an npy stream ``(n, …)``, or of one image, as a part."""
    with open_() as file:
        header = _header(file, what)
    if _is_one_image(header.shape, labels):
        with open_() as file:
            return whole(np.lib.format.read_array(file)[None], labels, split)
    count = header.shape[0]
    shape = image_shape(header.shape[1:], what)
    if labels is not None and len(labels) != count:
        raise FormatError(f"{what}: {count} images, but {len(labels)} labels")

    def blocks(skip: int, rows: int) -> Iterator[Block]:
        with open_() as file:
            header = _header(file, what)
            reader = _by_column if header.by_column else _by_row
            for array in reader(file, header, what, skip, rows):
                chosen = None if labels is None else labels[skip : skip + len(array)]
                yield block(upright(array.reshape(-1, *shape)), chosen)
                skip += len(array)

    return Part(split, count, blocks)


def _is_one_image(shape: tuple[int, ...], labels: np.ndarray | None) -> bool:
    """Tell one image ``(h, w)`` or ``(h, w, channels)`` from rows of pixels or of grey images."""
    if labels is not None or math.prod(shape) > 1 << 24:
        return False
    if len(shape) == 3:
        return shape[2] <= 4 < min(shape[:2])
    return len(shape) == 2 and (
        shape[0] == shape[1] or math.isqrt(shape[1]) ** 2 != shape[1] or shape[1] < 64
    )


def _by_row(
    file: IO[bytes], header: _Header, what: str, skip: int, rows: int
) -> Iterator[np.ndarray]:
    count, size = header.shape[0], header.row
    file.seek(size * skip, 1)
    most = max(1, min(rows, BUDGET // size))
    for start in range(skip, count, most):
        wanted = min(most, count - start)
        content = _read(file, wanted * size, what)
        held = len(content) // size
        if held:
            shape = (held, *header.shape[1:])
            yield np.frombuffer(content, header.dtype, math.prod(shape)).reshape(shape)
        if held < wanted:
            raise FormatError(f"{what}: {count} rows promised, but it ends in row {start + held}")


def _by_column(
    file: IO[bytes], header: _Header, what: str, skip: int, rows: int
) -> Iterator[np.ndarray]:
    """Yield the rows of an array that is stored column by column (Fortran's order)."""
    count, width = header.shape[0], math.prod(header.shape[1:])
    item = header.dtype.itemsize
    with _seekable(file, header.start + count * header.row, what) as source:
        for start in range(skip, count, rows):
            held = min(rows, count - start)
            array = np.empty((width, held), header.dtype)
            for column in range(width):
                source.seek(header.start + (column * count + start) * item)
                content = source.read(held * item)
                if len(content) < held * item:
                    message = f"{count} rows promised, but it ends in column {column}"
                    raise FormatError(f"{what}: {message}")
                array[column] = np.frombuffer(content, header.dtype)
            yield array.T.reshape(held, *header.shape[1:], order="F")


def _seekable(file: IO[bytes], size: int, what: str) -> IO[bytes]:
    """Return a file in which going back is cheap: itself, or a copy of what is compressed."""
    if not isinstance(file, zipfile.ZipExtFile):
        return file
    copy = tempfile.TemporaryFile()  # noqa: SIM115  # the caller closes it
    file.seek(0)
    while size > 0 and (content := _read(file, min(size, BUDGET), what)):
        copy.write(content)
        size -= len(content)
    return copy


def _read(file: IO[bytes], size: int, what: str) -> bytes:
    try:
        return file.read(size)
    except DAMAGE as error:
        raise FormatError(f"{what}: {error}") from None


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
    if dtype.hasobject or not dtype.itemsize:
        raise FormatError(f"{what}: expected numbers; got {dtype} {shape}")
    if not shape or min(shape) < 0 or (len(shape) > 1 and min(shape[1:]) < 1):
        raise FormatError(f"{what}: expected images (n, height, width); got {shape}")
    return _Header(shape, dtype, by_column, file.tell())
