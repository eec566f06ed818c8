"""Which format a file has, by its name and its first bytes."""

import zipfile
from collections.abc import Callable
from pathlib import Path

from tasks.io.readers import arrays, idxs, mats, pictures, tables
from tasks.io.readers.rows import FormatError, Part

PICTURE = "picture"
READERS: dict[str, Callable[[Path], list[Part]]] = {
    "npy": arrays.npy,
    "npz": arrays.npz,
    "idx": idxs.idx,
    "mat": mats.mat,
    "csv": tables.comma_separated,
    "parquet": tables.parquet,
}
KNOWN = "npy, npz, IDX, mat, csv, Parquet, PNG, JPEG"
_MARKS = {
    b"\x93NUMPY": "npy",
    b"PK\3\4": "npz",
    b"PAR1": "parquet",
    b"MATLAB": "mat",
    b"\x89PNG": PICTURE,
    b"\xff\xd8": PICTURE,
    **{bytes((0, 0, 8, dimensions)): "idx" for dimensions in range(1, 5)},
}
_SUFFIXES = {
    ".npy": "npy",
    ".npz": "npz",
    ".mat": "mat",
    ".csv": "csv",
    ".tra": "csv",  # UCI's optical digits
    ".tes": "csv",
    ".parquet": "parquet",
}


def kind(path: Path) -> str | None:
    """Return the name of a file's format: a key of `READERS`, `PICTURE`, or None."""
    suffix = path.suffix.lower()
    if suffix in pictures.SUFFIXES:
        return PICTURE
    if path.name.lower().endswith(".csv.gz"):
        return "csv"
    return _SUFFIXES.get(suffix) or sniffed(path)


def sniffed(path: Path) -> str | None:
    """Return the format by the first bytes alone; text is not told apart."""
    with path.open("rb") as file:
        start = file.read(8)
    if start[:2] == b"\x1f\x8b":
        with idxs.opened(path) as file:
            start = file.read(8)
    return next((name for mark, name in _MARKS.items() if start.startswith(mark)), None)


def parts(path: Path, format_: str | None = None) -> list[Part]:
    """Return what a file with rows holds, of the given format or of the one that it seems to have.

    Raises
    ------
    FormatError
        If its format is none that is known, or it is damaged.
    """
    try:
        name = format_ or kind(path)
        if name not in READERS:
            raise FormatError(f"expected {KNOWN}; got another format")
        return READERS[name](path)
    except (*arrays.DAMAGE, zipfile.LargeZipFile) as error:
        raise FormatError(f"{' '.join(str(error).split())}") from None
