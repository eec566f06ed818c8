"""Do the images look as they did? A batch's columns beside those of the reference.

Images of one predicted class are compared with reference images of that class: more sevens than
before are no other images.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from tasks.core.shift import CHUNK, Effort, Verdict, subset, verdict

BINS = 32
"""Of each column, with equal numbers of reference images."""
_TINY = 1e-300


class Binned(NamedTuple):
    """Images by bins: the bin in each column ``(n, c)`` uint8, the predicted class ``(n,)``."""

    codes: np.ndarray
    classes: np.ndarray


class Shift(NamedTuple):
    """The test's outcome and, of each column ``(c,)``, how far it moved and how surely.

    ``moved`` is the column's own statistic; ``p_values`` hold for all columns at once.
    """

    verdict: Verdict
    moved: np.ndarray
    p_values: np.ndarray


def edges(columns: np.ndarray, bins: int = BINS) -> np.ndarray:
    """Return the edges ``(c, bins + 2)`` of bins with equal numbers of these rows ``(n, c)``.

    The first lies just below the smallest value and the last finite one is the largest, so that
    what the reference never had falls into a bin of its own at either end. A column of few values
    has fewer edges; those left over are infinite.
    """
    found = np.full((columns.shape[1], bins + 2), np.inf, np.float32)
    for row, values in zip(found, columns.T, strict=True):
        levels = np.unique(np.quantile(values, np.arange(bins + 1) / bins, method="inverted_cdf"))
        row[0] = np.nextafter(levels[0], np.float32(-np.inf))
        row[1 : len(levels) + 1] = levels
    return found


def codes(columns: np.ndarray, limits: np.ndarray) -> np.ndarray:
    """Return each value's bin ``(n, c)`` uint8: the number of edges below it (NaN: of all)."""
    pairs = zip(limits, columns.T, strict=True)
    return np.stack([np.searchsorted(limit, values) for limit, values in pairs], 1).astype(np.uint8)


def compare(
    batch: Binned,
    reference: Binned,
    tolerance: float,
    effort: Effort,
    rng: np.random.Generator,
) -> Shift:
    """Test whether the batch looks like the reference's images of the same predicted classes.

    The statistic is the largest deviance (nats), over columns and edges, of the batch's share of
    images below an edge from the share expected, as it sees a shift of the middle and a few
    outliers alike: Berk and Jones, "Goodness-of-fit test statistics that dominate the Kolmogorov
    statistics", 1979. Expected is the share in batch and reference together, class by class in
    the batch's composition, which drawn batches have, too. A share that differs from the
    reference's by ``tolerance`` or less counts as no difference where half of the images lie below
    the edge; nearer to the ends it is as much less as the spread of a share is.
    """
    pool = _Pool(batch, reference)
    part = len(reference.classes) / (len(batch.classes) + len(reference.classes))
    moved = pool.deviance(np.arange(pool.size), tolerance * part)
    found = verdict(float(moved.max()), _draws(pool, rng), effort)
    reach = (found.drawn[:, None] >= moved - 1e-9).sum(0)
    return Shift(found, moved, (1 + reach) / (1 + len(found.drawn)))


def _draws(pool: "_Pool", rng: np.random.Generator) -> Iterator[np.ndarray]:
    while True:
        yield np.array([pool.deviance(pool.draw(rng)).max() for _ in range(CHUNK)])


class _Pool:
    """Batch and reference together, the batch's rows first, by the classes that the batch has."""

    def __init__(self, batch: Binned, reference: Binned) -> None:
        self.size = len(batch.classes)
        bins = np.concatenate([batch.codes, reference.codes])
        self.levels = int(bins.max()) + 1
        self.cells = bins + self.levels * np.arange(bins.shape[1])  # a number for bin and column
        classes = np.concatenate([batch.classes, reference.classes])
        present, counts = np.unique(batch.classes, return_counts=True)
        rows = (np.flatnonzero(classes == name) for name in present)
        self.members = list(zip(counts.tolist(), rows, strict=True))
        weighted = sum(count * self._below(all_) / len(all_) for count, all_ in self.members)
        self.expected = np.asarray(weighted / self.size)
        numbers = np.arange(self.size + 1)
        self.entropies = numbers * np.log(np.maximum(numbers, 1) / self.size)

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """Return the rows of a batch of the same size and classes."""
        parts = [rows[subset(len(rows), count, rng)] for count, rows in self.members]
        return np.concatenate(parts)

    def deviance(self, rows: np.ndarray, tolerance: float = 0.0) -> np.ndarray:
        """Return each column's largest deviance ``(c,)`` of a batch of these rows."""
        below = self._below(rows)
        expected = self.expected
        if tolerance:
            share, slack = below / self.size, 2 * tolerance * np.sqrt(expected * (1 - expected))
            expected = np.clip(share, expected - slack, expected + slack)
        above = self.size - below
        found = self.entropies[below] + self.entropies[above]
        found -= below * np.log(np.maximum(expected, _TINY))
        found -= above * np.log(np.maximum(1 - expected, _TINY))
        return np.asarray(found.max(1))

    def _below(self, rows: np.ndarray) -> np.ndarray:
        """Return how many of these rows lie at or below each edge ``(c, edges)``."""
        columns = self.cells.shape[1]
        counts = np.bincount(self.cells[rows].ravel(), minlength=columns * self.levels)
        return np.cumsum(counts.reshape(columns, self.levels), axis=1)[:, :-1]


def rarity(batch: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Return how rare each value of the batch ``(n, c)`` is in the reference ``(m, c)``.

    As minus the decimal logarithm of the share of reference values that lie as far out, on
    whichever side: 2 is one in a hundred. What lies beyond all of them gets that of one in
    ``m + 1``.
    """
    found = np.empty(batch.shape)
    for column, values in enumerate(reference.T):
        ranked = np.sort(values)
        below = np.searchsorted(ranked, batch[:, column], side="right")
        above = len(ranked) - np.searchsorted(ranked, batch[:, column], side="left")
        found[:, column] = np.minimum(below, above)
    return -np.log10(np.minimum(1.0, 2 * (found + 0.5) / (len(reference) + 1)))
