"""A whole labelled data set from a path or a source, for training."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from tasks.io.readers import named
from tasks.io.readers.normalized import normalized
from tasks.io.readers.rows import Block, flat_labels, image_shape, names, natural
from tasks.io.readers.stream import Chunk, read
from tasks.io.stage import StageError


class DataSet(NamedTuple):
    """Images ``(n, 28, 28)`` uint8, normalised; labels are class names; ids as `read` gives.

    The three ``test_`` fields are None where the source has no test split.
    """

    name: str
    train_images: np.ndarray
    train_labels: list[str]
    train_ids: list[str]
    test_images: np.ndarray | None
    test_labels: list[str] | None
    test_ids: list[str] | None
    classes: tuple[str, ...]  # sorted naturally: numbers by value, other names by letters


def load(source: str | Path, test_source: str | Path | None = None) -> DataSet:
    """Return the data set at a path (any format of docs/images.md) or of a source by name.

    Sources are "sklearn:digits", "openml:<name>", "keras:mnist" and "keras:fashion_mnist".
    The test split is what ``test_source`` holds, else what the source itself calls test: an
    array or file of that name, or a folder ``test``; without one there is none.

    Raises
    ------
    StageError
        If it does not exist or cannot be fetched, or rows cannot be read or have no label:
        with all that is wrong.
    """
    train, test = _collected(source, None)
    if test_source is not None:
        test = _collected(test_source, "test")[1]
    name = str(source) if named.is_name(str(source)) else Path(source).stem
    if not train.ids:
        raise StageError(f"{source}: expected training images; found none")
    classes = tuple(sorted({label for label in train.labels if label is not None}, key=natural))
    labels = [label or "" for label in train.labels]
    if not test.ids:
        return DataSet(name, train.images, labels, train.ids, None, None, None, classes)
    test_labels = [label or "" for label in test.labels]
    return DataSet(
        name, train.images, labels, train.ids, test.images, test_labels, test.ids, classes
    )


def _chunks(source: str | Path) -> list[Chunk]:
    """Return all rows of a source, each with the split that it belongs to in its id."""
    if not named.is_name(str(source)):
        return list(read([Path(source).expanduser()]))
    parts = zip(("train", "test"), named.fetch(str(source)), strict=True)
    return [_chunk(f"{source}#{split}/", part) for split, part in parts if part is not None]


def _chunk(prefix: str, part: named.Arrays) -> Chunk:
    count = len(part.images)
    shape = image_shape(part.images.shape[1:], prefix)
    told = names(flat_labels(part.labels, prefix))
    block = Block(part.images.reshape(count, *shape), told, [None] * count)
    images, faults = normalized(block)
    return Chunk([f"{prefix}{row}" for row in range(count)], images, told, faults)


def _collected(source: str | Path, split: str | None) -> tuple[Chunk, Chunk]:
    chunks = _chunks(source)
    ids = [name for chunk in chunks for name in chunk.ids]
    images = np.concatenate([chunk.images for chunk in chunks])
    labels = [label for chunk in chunks for label in chunk.labels]
    faults = [fault for chunk in chunks for fault in chunk.faults]
    wrong = [f"{name}: {fault}" for name, fault in zip(ids, faults, strict=True) if fault]
    wrong += [f"{name}: no label" for name, label in zip(ids, labels, strict=True) if label is None]
    if wrong:
        more = [f"… and {len(wrong) - 20} more"] if len(wrong) > 20 else []
        raise StageError("\n  ".join([f"{source}: expected labelled images", *wrong[:20], *more]))
    in_test = np.array([(split or _split(name)) == "test" for name in ids])
    parts = []
    for chosen in (~in_test, in_test):
        rows = np.flatnonzero(chosen)
        parts.append(
            Chunk(
                [ids[i] for i in rows], images[rows], [labels[i] for i in rows], [None] * len(rows)
            )
        )
    return parts[0], parts[1]


def _split(id: str) -> str:  # noqa: A002
    path, _, row = id.rpartition("#")
    if row.startswith("test/"):
        return "test"
    parts = Path(path or id).parts
    return "test" if "test" in parts or parts[-1].startswith(("t10k", "test")) else "train"
