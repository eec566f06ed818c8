"""IDX, MNIST's own format, gzipped or not; a file of images finds its labels beside it."""

import gzip
import math
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

from tasks.io.readers.rows import BUDGET, Block, FormatError, Part, block, image_shape

_UINT8 = 0x08
_MOST_LABELS = 1 << 28


def idx(path: Path) -> list[Part]:
    """Return the images of an IDX file, with the labels of the file named like it."""
    with opened(path) as file:
        shape = _shape(file, path.name)
    if len(shape) < 2:
        raise FormatError(f"{path.name}: expected images; got labels {shape}")
    image, count = image_shape(shape[1:], path.name), shape[0]
    labels, size = _labels(path, count), math.prod(image)

    def blocks(skip: int, rows: int) -> Iterator[Block]:
        with opened(path) as file:
            file.seek(4 + 4 * len(shape) + skip * size)
            most = max(1, min(rows, BUDGET // size))
            for start in range(skip, count, most):
                wanted = min(most, count - start)
                content = file.read(wanted * size)
                held = len(content) // size
                if held:
                    array = np.frombuffer(content, np.uint8, held * size).reshape(held, *image)
                    yield block(array, None if labels is None else labels[start : start + held])
                if held < wanted:
                    message = f"{count} rows promised, but it ends in row {start + held}"
                    raise FormatError(f"{path.name}: {message}")

    return [Part("", count, blocks)]


def opened(path: Path) -> IO[bytes]:
    """Open a file that may be gzipped, whatever its name, to read what it holds."""
    with path.open("rb") as file:
        gzipped = file.read(2) == b"\x1f\x8b"
    return gzip.open(path) if gzipped else path.open("rb")  # type: ignore[return-value]


def holds_labels(path: Path) -> bool:
    """Return whether an IDX file holds one dimension, as labels do."""
    with opened(path) as file:
        return file.read(4)[3:] == b"\x01"


def _shape(file: IO[bytes], what: str) -> tuple[int, ...]:
    magic = file.read(4)
    if len(magic) < 4 or magic[:3] != bytes((0, 0, _UINT8)) or not 1 <= magic[3] <= 4:
        raise FormatError(f"{what}: expected the IDX magic 00000803; got {magic.hex() or 'none'}")
    header = file.read(4 * magic[3])
    if len(header) < 4 * magic[3]:
        raise FormatError(f"{what}: the IDX header ends too early")
    return struct.unpack(f">{magic[3]}I", header)


def _labels_beside(path: Path) -> Path | None:
    # As published, "train-images-idx3-ubyte"; some mirrors write a dot for the second dash.
    stem = path.name.removesuffix(".gz").replace("images", "labels").replace("idx3", "idx1")
    names = [stem, f"{stem}.gz"] if stem != path.name.removesuffix(".gz") else []
    return next((path.with_name(name) for name in names if path.with_name(name).is_file()), None)


def _labels(path: Path, images: int) -> np.ndarray | None:
    if (partner := _labels_beside(path)) is None:
        return None
    with opened(partner) as file:
        shape = _shape(file, partner.name)
        if len(shape) != 1 or shape[0] > _MOST_LABELS:
            raise FormatError(f"{partner.name}: expected labels (n,); got {shape}")
        labels = np.frombuffer(file.read(shape[0]), np.uint8)
    if len(labels) != images:
        raise FormatError(f"{partner.name}: expected {images} labels; got {len(labels)}")
    return labels
