"""Did the classes' shares change? Counts of classes in a batch beside those of the reference."""

from collections.abc import Iterator

import numpy as np

from tasks.core.shift import CHUNK, Effort, Verdict, verdict


def compare(
    batch: np.ndarray, reference: np.ndarray, effort: Effort, rng: np.random.Generator
) -> Verdict:
    """Test whether counts ``(classes,)`` can be a draw from batch and reference together.

    The statistic is the deviance (nats) of the batch's counts from the shares of both together.
    """
    pooled, size = batch + reference, int(batch.sum())

    def deviances(counts: np.ndarray) -> np.ndarray:
        expected = size * pooled / pooled.sum()
        ratio = counts / np.where(expected > 0, expected, 1)
        return np.asarray((counts * np.log(np.where(ratio > 0, ratio, 1))).sum(-1))

    def draws() -> Iterator[np.ndarray]:
        while True:
            yield deviances(rng.multivariate_hypergeometric(pooled, size, CHUNK))

    return verdict(float(deviances(batch)), draws(), effort)


def estimated_shares(confusion: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Return the classes' true shares ``(classes,)`` in a batch, from its predicted counts.

    ``confusion`` ``(classes, classes)`` counts the reference, rows true, columns predicted. It
    holds as long as images of one class look as they did (a pure label shift); shares below 0,
    which noise can give, are taken as 0. Source: Lipton, Wang and Smola, "Detecting and
    correcting for label shift with black box predictors", 2018.
    """
    joint = confusion.T / confusion.sum()  # row: predicted, column: true
    seen = predicted / predicted.sum()
    weights, *_ = np.linalg.lstsq(joint, seen, rcond=None)
    shares = np.maximum(weights * confusion.sum(1) / confusion.sum(), 0)
    return np.asarray(shares / shares.sum())
