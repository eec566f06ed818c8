"""The command ``python -m flows example``: a batch of digits to try the pipeline with.

Made of training images, whose labels anyone may know. So nothing about accuracy follows from
what a model says of them: it has seen most of them, undamaged.
"""

import csv
import io
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tasks.core import corruptions
from tasks.core.photographs import photograph
from tasks.io import files
from tasks.io.stage import StageError

INCOMING = Path("data/incoming")
KINDS = ("photographs", "digits", *corruptions.CORRUPTIONS)
WHO = "example"
"""Who says what the truth file says."""


class Wanted(NamedTuple):
    """What to make: the kind of picture, how many, how strongly damaged (1 to 3), by which draw."""

    kind: str
    images: int
    severity: int
    seed: int


def example(folder: Path, wanted: Wanted, truth: Path | None) -> int:
    """Write pictures into ``folder``, their labels into ``truth``; return the exit status.

    Raises
    ------
    StageError
        If ``folder`` is there already, or there are no images to make them from.
    """
    _check(folder, wanted)
    images, labels = _drawn(wanted)
    _publish(folder, _pictures(images, wanted))
    if truth:
        files.write_bytes(truth, _table(folder, labels))
    told = f"; their labels: {truth}" if truth else ""
    print(f"{folder}: {len(images)} pictures, {wanted.kind}{told}")
    return 0


def _check(folder: Path, wanted: Wanted) -> None:
    if wanted.kind not in KINDS:
        raise StageError(f"KIND must be one of {', '.join(KINDS)}; got {wanted.kind}")
    if folder.exists():
        raise StageError(f"{folder}: expected a folder that is not there yet; it is")


def _drawn(wanted: Wanted) -> tuple[np.ndarray, np.ndarray]:
    from tasks.io import dataset

    digits = dataset.load()
    there = len(digits.train_images)
    if not 1 <= wanted.images <= there:
        raise StageError(
            f"--images must be from 1 to {there}, the training images; got {wanted.images}"
        )
    rows = np.random.default_rng(wanted.seed).permutation(there)[: wanted.images]
    names = np.array(digits.classes)[digits.train_labels[rows]]
    return digits.train_images[rows], names


def _pictures(images: np.ndarray, wanted: Wanted) -> Iterator[tuple[str, np.ndarray]]:
    rng, ending = np.random.default_rng(wanted.seed), "png"
    pictures: Iterable[np.ndarray] = images
    if wanted.kind == "photographs":
        pictures, ending = (photograph(image, rng) for image in images), "jpg"
    elif wanted.kind != "digits":
        pictures = corruptions.corrupt(images, wanted.kind, wanted.severity - 1, wanted.seed)
    for number, picture in enumerate(pictures, 1):
        yield f"{number:04d}.{ending}", picture


def _publish(folder: Path, pictures: Iterable[tuple[str, np.ndarray]]) -> None:
    """Write all pictures beside ``folder``, then rename: a batch arrives as a whole."""
    from PIL import Image

    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as temporary:
        part = Path(temporary, folder.name)
        part.mkdir()
        for name, picture in pictures:
            Image.fromarray(picture).save(part / name, quality=88)
        part.rename(folder)


def _table(folder: Path, labels: np.ndarray) -> bytes:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(("id", "label", "who"))
    place = folder.relative_to(INCOMING) if folder.is_relative_to(INCOMING) else folder
    names = sorted(path.name for path in folder.iterdir())
    rows = zip(names, labels, strict=True)
    table.writerows(((place / name).as_posix(), label, WHO) for name, label in rows)
    return text.getvalue().encode()
