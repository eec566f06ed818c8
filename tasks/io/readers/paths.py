"""Which files paths, folders and globs stand for, in an order that is always the same."""

import atexit
import glob
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tasks.io.readers import arrays, formats, idxs
from tasks.io.readers.rows import natural
from tasks.io.stage import StageError

STDIN = "-"
_NO_CLASS = {"train", "test", "training", "testing", "val", "valid", "validation", "images"}


class File(NamedTuple):
    """A file to read: the format that it seems to have, and its class by its folder."""

    path: Path
    kind: str | None
    label: str | None = None
    shown: str | None = None  # what its ids begin with, where that is not its path


def expand(paths: Sequence[str | Path], base: Path | None = None) -> Iterator[File]:
    """Yield the files of the paths in their order; a folder's sorted as people sort.

    "-" is standard input: one file of any format. Names that start with "." or "_" are left out
    of folders, and so are files that hold the
    labels of others or are of no known format.

    Raises
    ------
    StageError
        If a path does not exist or a glob matches nothing: all such, before the first file.
    """
    found = [(path, [STDIN] if str(path) == STDIN else _matches(path, base)) for path in paths]
    if absent := [str(path) for path, matches in found if not matches]:
        raise StageError(
            f"expected files, folders or globs; found nothing at {', '.join(absent)}."
            " Correct the path"
        )
    for _, matches in found:
        for path in matches:
            if isinstance(path, str):
                yield _standard_input()
            elif path.is_dir():
                yield from _folder(path, None)
            else:
                yield File(path, formats.kind(path))


def _standard_input() -> File:
    """Return what comes by standard input as a file: formats are read from their start again."""
    with tempfile.NamedTemporaryFile(prefix="digitline-", delete=False) as file:
        path = Path(file.name)
        atexit.register(path.unlink, missing_ok=True)
        shutil.copyfileobj(sys.stdin.buffer, file)
    return File(path, formats.sniffed(path) or "csv", shown=STDIN)


def _matches(path: str | Path, base: Path | None) -> list[Path]:
    whole = (base / path) if base else Path(path)
    if whole.exists():
        return [whole]
    # Path.glob takes no absolute pattern.
    names = glob.glob(str(whole), recursive=True)  # noqa: PTH207
    return sorted(map(Path, names), key=lambda path: natural(str(path)))


def _folder(folder: Path, label: str | None) -> Iterator[File]:
    for path in sorted(folder.iterdir(), key=lambda path: natural(path.name)):
        if path.name.startswith((".", "_")):
            continue
        if path.is_dir():
            yield from _folder(path, None if path.name.lower() in _NO_CLASS else path.name)
            continue
        kind = formats.kind(path)
        if kind is not None and not _holds_labels(path, kind):
            yield File(path, kind, label)


def _holds_labels(path: Path, kind: str) -> bool:
    if kind == "idx":
        return idxs.is_labels(path)
    if kind == "npy":
        beside = (other for other in path.parent.glob("*.npy") if other != path)
        return any(arrays.labels_beside(other) == path for other in beside)
    return False
