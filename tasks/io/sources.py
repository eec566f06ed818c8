"""A whole data set in the form in which it is trained on: MNIST's, whatever it was read from."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tasks.core import fashion, splits
from tasks.core.classes import DIGITS
from tasks.core.mnist import UNORDERED_SHA256, Mnist, check, unordered
from tasks.core.splits import Part
from tasks.io.readers.datasets import DataSet, load
from tasks.io.stage import StageError

_HALVES = (60_000, 10_000)  # MNIST's training images come first where all of it stands in one
_MOST = 256  # classes: a label is one byte


class Source(NamedTuple):
    """A data set: its name, where it came from, the names of its classes, its two parts."""

    name: str
    origin: str
    is_mnist: bool
    classes: tuple[str, ...]
    train: Part
    test: Part

    def first(self, train_rows: int | None, test_rows: int | None) -> "Source":
        """Return the first rows of both parts; None: all."""
        return self._replace(train=self.train.first(train_rows), test=self.test.first(test_rows))


def as_mnist(mnist: Mnist) -> Source:
    """Return MNIST as a source; where it came from is not told, as it makes no difference."""
    images, labels, test_images, test_labels = mnist
    train = Part(images, labels, [f"train/{row}" for row in range(len(labels))])
    test = Part(test_images, test_labels, [f"test/{row}" for row in range(len(test_labels))])
    return Source("MNIST", "the published files", True, DIGITS, train, test)


def named(source: str, test_source: str | None, test_share: float) -> Source:
    """Return the data set that ``source`` names, whatever its format.

    MNIST keeps its order. The order of any other and, where it has no test set, that follow
    from the images: see `tasks.core.splits`.

    Raises
    ------
    StageError
        If it cannot be read, or cannot be trained on.
    """
    try:
        found = load(source, test_source)
    except StageError as error:
        raise StageError(f"params.yaml: data.source cannot be read: {error}") from None
    if mnist := recognised(found):
        print(f"MNIST by data.source ({source}): SHA-256 as published")
        return as_mnist(mnist)
    found = _with_names(_halved(found))
    train, test = _parts(found, f"params.yaml: data.source ({source})", test_share)
    counts = f"{len(found.classes)} classes, {len(train.ids)} training and {len(test.ids)} test"
    print(f"{found.name} by data.source ({source}): {counts} images")
    whole = splits.ordered(train), splits.ordered(test)
    return Source(found.name, source, False, tuple(found.classes), *whole)


def recognised(found: DataSet) -> Mnist | None:
    """Return MNIST if that is what was read, byte for byte; its two parts may stand in one."""
    names = {*found.train_labels, *(found.test_labels or [])}
    if not names <= {*DIGITS}:
        return None
    images, labels = found.train_images, _places(found.train_labels, DIGITS)
    cut = _HALVES[0]
    parts = [images[:cut], labels[:cut], images[cut:], labels[cut:]]
    if found.test_images is not None and found.test_labels is not None:
        parts = [images, labels, found.test_images, _places(found.test_labels, DIGITS)]
    try:
        check(mnist := Mnist(*parts))
    except ValueError:
        return None
    return mnist


def _halved(found: DataSet) -> DataSet:
    """Return MNIST in another order with its own test set, where that comes behind the rest."""
    if found.test_images is not None or len(found.train_labels) != sum(_HALVES):
        return found
    if not {*found.train_labels} <= {*DIGITS}:
        return found
    images, labels, ids = found.train_images, found.train_labels, found.train_ids
    places, cut = _places(labels, DIGITS), _HALVES[0]
    halves = (slice(cut), slice(cut, None))
    if tuple(unordered(images[half], places[half]) for half in halves) != UNORDERED_SHA256:
        return found
    return DataSet(
        "MNIST in another order",
        *(images[:cut], labels[:cut], ids[:cut]),
        *(images[cut:], labels[cut:], ids[cut:]),
        DIGITS,
    )


def _with_names(found: DataSet) -> DataSet:
    """Return Fashion-MNIST with the names of its classes, anything else as it is."""
    labels = (found.train_labels, found.test_labels or [])
    if not fashion.is_published(*labels):
        return found
    names = dict(zip(DIGITS, fashion.CLASSES, strict=True))
    train, test = ([names[label] for label in part] for part in labels)
    found = found._replace(name="Fashion-MNIST", classes=fashion.CLASSES)
    return found._replace(train_labels=train, test_labels=test)


def _parts(found: DataSet, where: str, test_share: float) -> tuple[Part, Part]:
    classes = found.classes
    if not 2 <= len(classes) <= _MOST:
        names = f": {classes[0]}" if len(classes) == 1 else ""
        raise StageError(f"{where}: expected 2 to {_MOST} classes; got {len(classes)}{names}")
    strange = sorted({*(found.test_labels or [])} - {*found.train_labels})
    if strange:
        raise StageError(f"{where}: expected training images of every class; {strange[0]} has none")
    train = Part(found.train_images, _places(found.train_labels, classes), found.train_ids)
    if found.test_images is None or found.test_labels is None:
        print(f"no test set there: data.test_share ({test_share:g}) of each class is set apart")
        train, test = splits.split(train, test_share)
        if bare := [name for place, name in enumerate(classes) if place not in train.labels]:
            raise StageError(f"{where}: expected two images or more of each class; {bare[0]} has 1")
        return train, test
    test_ids = found.test_ids or []
    return train, Part(found.test_images, _places(found.test_labels, classes), test_ids)


def _places(labels: Sequence[str], classes: Sequence[str]) -> np.ndarray:
    place = {name: number for number, name in enumerate(classes)}
    return np.array([place[label] for label in labels], np.uint8)
