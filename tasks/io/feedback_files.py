"""Corrected labels as `tasks.io.feedback` keeps them: a folder a batch, each tracked by DVC.

``data/feedback/<name>/`` holds ``images.npy`` and ``labels.csv``; beside it stands
``<name>.dvc``, which is in git. A folder without that is what a feedback that was killed left
behind: it counts for nothing.
"""

import csv
import io
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tasks.io import files
from tasks.io.stage import StageError

FOLDER = Path("data/feedback")
IMAGES, LABELS = "images.npy", "labels.csv"


class Correction(NamedTuple):
    """What one person said of one image; ``id`` is what it was called where it was scored."""

    id: str
    label: str
    who: str
    date: str
    why: str


class Batch(NamedTuple):
    """Images ``(n, 28, 28)`` uint8 with a correction each, and the batch's name."""

    name: str
    images: np.ndarray
    corrections: list[Correction]


def names(root: Path = Path()) -> list[str]:
    """Return the names of all batches, the oldest first."""
    return sorted(path.stem for path in (root / FOLDER).glob("*.dvc"))


def read(root: Path = Path()) -> list[Batch]:
    """Return all batches, the oldest first.

    Raises
    ------
    StageError
        If the files of a batch are not here, or do not fit together.
    """
    found = names(root)
    if absent := [name for name in found if not (root / FOLDER / name / LABELS).is_file()]:
        listed = ", ".join((FOLDER / name).as_posix() for name in absent)
        raise StageError(
            f"expected the files of {listed} here, which git lists in {FOLDER}/*.dvc; bring them "
            "with `dvc pull`, or from a clone that has them"
        )
    return [_batch(root / FOLDER / name) for name in found]


def write(folder: Path, images: np.ndarray, corrections: list[Correction]) -> None:
    """Write a batch to ``folder``."""
    files.write_array(folder / IMAGES, images)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([Correction._fields, *corrections])
    files.write_bytes(folder / LABELS, text.getvalue().encode())


def _batch(folder: Path) -> Batch:
    where = folder / LABELS
    try:
        with where.open(encoding="utf-8", newline="") as file:
            header, *rows = csv.reader(file, strict=True)
        if tuple(header) != Correction._fields:
            raise ValueError(f"columns {','.join(header)}")
        corrections = [Correction(*row) for row in rows]
    except (ValueError, TypeError, csv.Error) as error:
        columns = ",".join(Correction._fields)
        raise StageError(f"{where}: expected the columns {columns}; got {error}") from None
    images = files.read_array(folder / IMAGES, np.uint8, (len(corrections), 28, 28))
    return Batch(folder.name, images, corrections)
