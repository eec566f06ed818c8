"""Which format a file has, by its name and its first bytes."""

import zipfile
from collections.abc import Callable
from pathlib import Path

from tasks.io.readers import arrays, idxs, pictures
from tasks.io.readers.rows import FormatError, Part

PICTURE = "picture"
READERS: dict[str, Callable[[Path], list[Part]]] = {
    "npy": arrays.npy,
    "npz": arrays.npz,
    "idx": idxs.idx,
}
KNOWN = "npy, npz, IDX, mat, csv, Parquet, PNG, JPEG"


def kind(path: Path) -> str | None:
    """Return the name of a file's format: a key of `READERS`, `PICTURE`, or None."""
    suffix = path.suffix.lower()
    if suffix in pictures.SUFFIXES:
        return PICTURE
    if suffix[1:] in ("npy", "npz"):
        return suffix[1:]
    return _sniffed(path)


def _sniffed(path: Path) -> str | None:
    with path.open("rb") as file:
        start = file.read(8)
    if start[:6] == b"\x93NUMPY":
        return "npy"
    if start[:2] == b"\x1f\x8b":
        with idxs.opened(path) as file:
            start = file.read(4)
    if start[:3] == b"\0\0\x08" and start[3:4] in b"\1\2\3\4":
        return "idx"
    if start[:4] == b"PK\3\4":
        return "npz"
    if start[:4] == b"\x89PNG" or start[:2] == b"\xff\xd8":
        return PICTURE
    return None


def parts(path: Path) -> list[Part]:
    """Return what a file with rows holds.

    Raises
    ------
    FormatError
        If its format is none that is known, or it is damaged.
    """
    try:
        name = kind(path)
        if name not in READERS:
            raise FormatError(f"expected {KNOWN}; got another format")
        return READERS[name](path)
    except (*arrays.DAMAGE, zipfile.LargeZipFile) as error:
        raise FormatError(f"{' '.join(str(error).split())}") from None
