"""Small grey pictures that stand inside a page."""

import base64
import struct
import zlib

import numpy as np


def png(image: np.ndarray) -> bytes:
    """Return a grey image ``(h, w)`` uint8, 0 is black, as PNG (ISO/IEC 15948)."""
    height, width = image.shape
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)  # 8 bits, grey, plain
    lines = np.pad(image, ((0, 0), (1, 0)))  # each line starts with its filter: none
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(lines.tobytes(), 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, content) for name, content in parts)


def data_uri(image: np.ndarray) -> str:
    """Return the image ``(h, w)`` uint8 as the text of an ``src`` that needs no file."""
    return "data:image/png;base64," + base64.b64encode(png(image)).decode()


def _chunk(name: bytes, content: bytes) -> bytes:
    check = zlib.crc32(name + content)
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", check)
