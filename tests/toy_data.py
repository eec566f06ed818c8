"""What `ingest` and `preprocess` tell of a data set, for tests of the stages behind them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tasks.core.classes import DIGITS
from tasks.core.normalize import normalize
from tasks.io import about, dataset, files
from tasks.io.about import About


def told(
    train: int = 120,
    test: int = 100,
    feedback: int = 0,
    *,
    classes: Sequence[str] = DIGITS,
    counts: Sequence[int] = (),
    is_mnist: bool = False,
) -> About:
    """Return what is known of a data set; without ``counts`` its classes are equally many."""
    each = [train // len(classes) + (place < train % len(classes)) for place in range(len(classes))]
    rows = {"train": train, "test": test, "feedback": feedback}
    return About("toy", "toy.npz", is_mnist, list(classes), rows, list(counts) or each, {})


def write(folder: Path, known: About) -> None:
    """Leave it below ``folder`` as the two stages do."""
    files.write_json(folder / about.FILE, known._asdict())
    files.write_json(folder / dataset.CLASSES, known.classes)


def pictures(count: int, seed: int = 0) -> np.ndarray:
    """Return images that follow MNIST's convention, each another: ``(n, 28, 28)`` uint8."""
    random = np.random.default_rng(seed)
    cells = random.integers(150, 256, (count, 5, 5), np.uint8)  # one figure, without specks
    squares = np.kron(cells, np.ones((1, 4, 4), np.uint8))
    return np.stack([normalize(np.pad(square, 4)) for square in squares])
