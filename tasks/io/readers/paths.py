"""Which files paths, folders and globs stand for, in an order that is always the same."""

import csv
import glob
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tasks.io.readers import arrays, formats, idxs
from tasks.io.readers.rows import natural
from tasks.io.stage import StageError

STDIN = "-"
LABELS = "labels.csv"
"""The file that may tell the labels of the pictures beside it: columns file and label."""

_NO_CLASS = {"train", "test", "training", "testing", "val", "valid", "validation", "images"}


class File(NamedTuple):
    """A file to read: the format that it seems to have, and the label that its place tells."""

    path: Path
    kind: str | None
    label: str | None = None


def expand(paths: Sequence[str | Path], base: Path | None = None) -> Iterator[File]:
    """Return the files of the paths in their order; a folder's are sorted as people sort.

    Names that start with "." or "_" are left out of folders, and so are files that hold the
    labels of others or are of no known format. A picture in a folder within the folder has
    that one's name as its label; beside a ``labels.csv`` it has what stands there. ``base``
    makes no difference: paths are as given.

    Raises
    ------
    StageError
        If a path does not exist or a glob matches nothing: all such, before the first file.
    """
    found = [(str(path), _matches(path)) for path in paths]
    if absent := [path for path, matches in found if not matches]:
        raise StageError(
            f"expected files, folders or globs; found nothing at {', '.join(absent)}."
            " Correct the path"
        )
    return _files([match for _, matches in found for match in matches])


def _matches(path: str | Path) -> list[Path]:
    if str(path) == STDIN:
        return [Path(STDIN)]
    whole = Path(path).expanduser()
    if whole.exists():
        return [whole]
    found = map(Path, glob.glob(str(whole), recursive=True))  # noqa: PTH207  # absolute ones too
    return sorted(found, key=lambda found: natural(str(found)))


def _files(paths: Sequence[Path]) -> Iterator[File]:
    for path in paths:
        if str(path) == STDIN:
            yield File(path, None)
        elif path.is_dir():
            yield from _folder(path, None)
        else:
            yield File(path, formats.kind(path))


def _folder(folder: Path, label: str | None) -> Iterator[File]:
    labels = _labels(folder / LABELS)
    for path in sorted(folder.iterdir(), key=lambda path: natural(path.name)):
        if path.name.startswith((".", "_")) or (labels and path.name == LABELS):
            continue
        if path.is_dir():
            yield from _folder(path, None if path.name.lower() in _NO_CLASS else path.name)
        elif path.is_file() and (kind := formats.kind(path)) and not _holds_labels(path, kind):
            yield File(path, kind, labels.get(path.name, label))


def _holds_labels(path: Path, kind: str) -> bool:
    if kind == "idx":
        return idxs.holds_labels(path)
    return kind == "npy" and arrays.images_beside(path) is not None


def _labels(file: Path) -> dict[str, str]:
    """Return the labels by file name in a ``labels.csv``; none if it is not of that kind."""
    if not file.is_file():
        return {}
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            rows = csv.DictReader(lines)
            if not {"file", "label"} <= {*(rows.fieldnames or ())}:
                return {}
            return {row["file"]: row["label"].strip() for row in rows if row["label"]}
    except (OSError, UnicodeDecodeError, csv.Error):
        return {}
