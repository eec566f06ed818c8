"""IDX, MNIST's own format, gzipped or not; a file of images finds its labels beside it."""

import gzip
import math
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

from tasks.io.readers.rows import BUDGET, Block, FormatError, Part, block, image_shape

_UINT8 = 0x08
_MOST_LABELS = 1 << 28


def is_labels(path: Path) -> bool:
    """Return whether an IDX file holds one dimension, as labels do."""
    with opened(path) as file:
        return file.read(4)[3:] == b"\x01"


def idx(path: Path) -> list[Part]:
    """Return the images of an IDX file, with the labels of the file named like it."""
    with opened(path) as file:
        shape = _shape(file, path.name)
    if len(shape) < 2:
        raise FormatError(f"{path.name}: expected images; got labels {shape}")
    image = image_shape(shape[1:], path.name)
    labels = _labels(path, shape[0])

    def blocks(skip: int, rows: int) -> Iterator[Block]:
        size = math.prod(image)
        most = max(1, min(rows, BUDGET // size))
        with opened(path) as file:
            _shape(file, path.name)
            file.seek(skip * size, 1)
            for start in range(skip, shape[0], most):
                wanted = min(most, shape[0] - start)
                content = file.read(wanted * size)
                held = len(content) // size
                if held:
                    array = np.frombuffer(content, np.uint8, held * size)
                    yield block(array.reshape(held, *image), labels, start)
                if held < wanted:
                    raise FormatError(
                        f"{path.name}: {shape[0]} rows promised, but it ends in row {start + held}"
                    )

    return [Part("", shape[0], labels is not None, blocks)]


def opened(path: Path) -> IO[bytes]:
    """Open a file that may be gzipped, whatever its name, to read what it holds."""
    with path.open("rb") as file:
        gzipped = file.read(2) == b"\x1f\x8b"
    return gzip.open(path) if gzipped else path.open("rb")  # type: ignore[return-value]


def _shape(file: IO[bytes], what: str) -> tuple[int, ...]:
    magic = file.read(4)
    if len(magic) < 4 or magic[:3] != bytes((0, 0, _UINT8)) or not 1 <= magic[3] <= 4:
        raise FormatError(f"{what}: expected the IDX magic 00000803; got {magic.hex() or 'none'}")
    header = file.read(4 * magic[3])
    if len(header) < 4 * magic[3]:
        raise FormatError(f"{what}: the IDX header ends too early")
    return struct.unpack(f">{magic[3]}I", header)


def labels_beside(path: Path) -> Path | None:
    """Return the IDX file of labels that belongs to one of images, by its name."""
    stem = path.name.removesuffix(".gz").replace("images", "labels")
    stem = re.sub(r"idx\d", "idx1", stem)
    if stem == path.name.removesuffix(".gz"):
        return None
    partners = (path.with_name(name) for name in (stem, f"{stem}.gz"))
    return next((partner for partner in partners if partner.is_file()), None)


def _labels(path: Path, images: int) -> np.ndarray | None:
    if (partner := labels_beside(path)) is None:
        return None
    with opened(partner) as file:
        shape = _shape(file, partner.name)
        if len(shape) != 1 or shape[0] > _MOST_LABELS:
            raise FormatError(f"{partner.name}: expected labels (n,); got {shape}")
        labels = np.frombuffer(file.read(shape[0]), np.uint8)
    if len(labels) != shape[0] or len(labels) != images:
        raise FormatError(f"{partner.name}: expected {images} labels; got {len(labels)}")
    return labels
