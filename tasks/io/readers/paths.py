"""Which files paths, folders and globs stand for, in an order that is always the same."""

import glob
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


def expand(paths: Sequence[str | Path], base: Path | None = None) -> Iterator[File]:
    """Yield the files of the paths in their order; a folder's sorted as people sort.

    Names that start with "." or "_" are left out of folders, and so are files that hold the
    labels of others or are of no known format.

    Raises
    ------
    StageError
        If a path does not exist or a glob matches nothing: all such, before the first file.
    """
    found = [(path, _matches(path, base)) for path in paths]
    if absent := [str(path) for path, matches in found if not matches]:
        raise StageError(
            f"expected files, folders or globs; found nothing at {', '.join(absent)}."
            " Correct the path"
        )
    for _, matches in found:
        for path in matches:
            if path.is_dir():
                yield from _folder(path, None)
            else:
                yield File(path, formats.kind(path))


def _matches(path: str | Path, base: Path | None) -> list[Path]:
    whole = (base / path) if base else Path(path)
    if whole.exists():
        return [whole]
    return sorted(map(Path, glob.glob(str(whole), recursive=True)), key=lambda p: natural(str(p)))


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
