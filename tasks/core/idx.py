"""The IDX format in which MNIST is published: a magic number, the dimensions, the bytes."""

import hashlib
import math
import struct

import numpy as np

_UINT8 = 0x08


def header(shape: tuple[int, ...]) -> bytes:
    """Return the IDX header of a uint8 array of ``shape``, all numbers big-endian."""
    return struct.pack(f">BBBB{len(shape)}I", 0, 0, _UINT8, len(shape), *shape)


def dump(array: np.ndarray) -> bytes:
    """Return a uint8 array of any shape as an IDX file."""
    return header(array.shape) + array.tobytes()


def digest(array: np.ndarray) -> str:
    """Return the SHA-256, in hex, of a uint8 array as an uncompressed IDX file."""
    content = hashlib.sha256(header(array.shape))
    content.update(np.ascontiguousarray(array).data)
    return content.hexdigest()


def parse(content: bytes, dimensions: int) -> np.ndarray:
    """Return the uint8 array, of that many ``dimensions``, that an IDX file holds.

    The array is a read-only view of ``content``, so a header can make nothing large.

    Raises
    ------
    ValueError
        If the magic number, the number of dimensions or the length is another.
    """
    start = 4 + 4 * dimensions
    magic = header((0,) * dimensions)[:4]
    if content[:4] != magic:
        raise ValueError(f"expected the IDX magic {magic.hex()}; got {content[:4].hex() or 'none'}")
    if len(content) < start:
        raise ValueError(f"expected an IDX header of {start} bytes; got {len(content)} bytes")
    shape = struct.unpack(f">{dimensions}I", content[4:start])
    promised, held = math.prod(shape), len(content) - start
    if promised != held:
        raise ValueError(f"expected {promised} bytes for the shape {shape}; got {held}")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
