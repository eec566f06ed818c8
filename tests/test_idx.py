"""The IDX format: exact bytes out, and nothing but exact bytes in."""

import hashlib

import numpy as np
import pytest

from tasks.core import idx

IMAGES = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
FILE = bytes.fromhex("00000803 00000002 00000002 00000003") + bytes(range(12))


def test_dump_writes_magic_dimensions_and_bytes() -> None:
    assert idx.dump(IMAGES) == FILE
    assert idx.dump(np.array([7, 9], np.uint8)) == bytes.fromhex("00000801 00000002 0709")


def test_parse_returns_what_dump_wrote() -> None:
    array = idx.parse(FILE, 3)
    assert array.dtype == np.uint8
    np.testing.assert_array_equal(array, IMAGES)


def test_digest_is_that_of_the_file_even_of_a_view_with_gaps() -> None:
    known = hashlib.sha256(FILE).hexdigest()
    assert idx.digest(IMAGES) == known
    assert idx.digest(np.repeat(IMAGES, 2, axis=0)[::2]) == known


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected the IDX magic 00000803; got none"),
        (b"\x00\x00\x08\x01" + FILE[4:], "expected the IDX magic 00000803; got 00000801"),
        (FILE[:10], "expected an IDX header of 16 bytes; got 10 bytes"),
        (FILE[:-1], r"expected 12 bytes for the shape \(2, 2, 3\); got 11"),
        (FILE + b"\x00", r"expected 12 bytes for the shape \(2, 2, 3\); got 13"),
    ],
)
def test_parse_refuses_other_bytes(content: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        idx.parse(content, 3)


def test_a_header_that_promises_the_largest_array_allocates_nothing() -> None:
    lie = FILE[:4] + b"\xff" * 12 + FILE[16:]
    promised = (2**32 - 1) ** 3
    with pytest.raises(ValueError, match=f"expected {promised} bytes .* got 12"):
        idx.parse(lie, 3)
