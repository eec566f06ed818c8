"""Which format a file has, by its name or its first bytes, and what is in it."""

from collections.abc import Callable
from pathlib import Path

from tasks.io.readers import arrays, idxs, mats, parquet, pictures, tables
from tasks.io.readers.rows import FormatError, Part

PICTURE = "picture"
DAMAGE = arrays.DAMAGE
READERS: dict[str, Callable[[Path], list[Part]]] = {
    "npy": arrays.npy,
    "npz": arrays.npz,
    "idx": idxs.idx,
    "mat": mats.mat,
    "csv": tables.comma_separated,
    "parquet": parquet.parquet,
}
KNOWN = "npy, npz, IDX, mat, csv, Parquet, or a picture (PNG, JPEG …)"

_SUFFIXES = {
    **{f".{name}": name for name in READERS if name != "idx"},
    **dict.fromkeys((".tsv", ".tra", ".tes"), "csv"),  # the last two: UCI's optdigits
    ".pq": "parquet",
    **dict.fromkeys(pictures.SUFFIXES, PICTURE),
}
_STARTS = {
    b"\x93NUMPY": "npy",
    b"PK\3\4": "npz",
    b"PAR1": "parquet",
    b"MATLAB 5": "mat",
    b"\x89PNG": PICTURE,
    b"\xff\xd8\xff": PICTURE,
    b"GIF8": PICTURE,
    b"BM": PICTURE,
    b"II*\0": PICTURE,
    b"MM\0*": PICTURE,
    b"RIFF": PICTURE,
    b"P5": PICTURE,
    b"P6": PICTURE,
}


def kind(path: Path) -> str | None:
    """Return the name of a file's format: a key of `READERS`, `PICTURE`, or None."""
    name = path.name.lower()
    if name.endswith(".csv.gz"):
        return "csv"
    return _SUFFIXES.get(path.suffix.lower()) or sniffed(path)


def sniffed(path: Path, text: bool = False) -> str | None:
    """Return a file's format by its first bytes alone; with ``text`` a table may be one, too."""
    try:
        with idxs.opened(path) as file:
            start = file.read(512)
    except arrays.DAMAGE:
        return None
    if start[:3] == b"\0\0\x08" and start[3:4] in (b"\1", b"\2", b"\3", b"\4"):
        return "idx"
    found = next((name for sign, name in _STARTS.items() if start.startswith(sign)), None)
    if found is None and text and b"\0" not in start and b"," in start:
        return "csv"
    return found


def parts(path: Path, name: str | None = None) -> list[Part]:
    """Return what a file with rows holds; ``name`` is its format if that is known already.

    Raises
    ------
    FormatError
        If its format is none that is known, or it is damaged.
    """
    name = name or kind(path)
    if name not in READERS:
        raise FormatError(f"expected {KNOWN}; it is none of these")
    try:
        return READERS[name](path)
    except arrays.DAMAGE as error:
        raise FormatError(" ".join(str(error).split())) from None
