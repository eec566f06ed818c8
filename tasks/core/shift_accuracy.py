"""Is the model less accurate than it was? By its confidence, and by labels where there are any.

Confidence is the probability, calibrated, of the most probable class.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from tasks.core.metrics import wilson_interval
from tasks.core.shift import CHUNK, Effort, Verdict, subset, verdict


class Estimate(NamedTuple):
    """An accuracy with its interval, fractions."""

    value: float
    low: float
    high: float


class Rule(NamedTuple):
    """The confidence below which as many reference images lie as are answered wrongly.

    ``accuracy`` is that of the ``images`` of the reference.
    """

    threshold: float
    accuracy: float
    images: int


def rule(hits: np.ndarray, confidence: np.ndarray) -> Rule:
    """Return the rule that fits reference images: right or wrong ``(n,)``, confidence ``(n,)``."""
    wrong = int(len(hits) - hits.sum())
    ranked = np.append(np.sort(confidence), np.inf)
    return Rule(float(ranked[wrong]), float(hits.mean()), len(hits))


def estimate(confidence: np.ndarray, fitted: Rule, level: float) -> Estimate:
    """Return the accuracy expected of a batch without labels: its share above the threshold.

    The interval joins Wilson's, for the batch's size, with the reference's own error. What it
    does not hold: that confidence means less on images of a new kind. Source: Garg et al.,
    "Leveraging unlabeled data to predict out-of-distribution performance", 2022 (average
    thresholded confidence).
    """
    sure = int((confidence >= fitted.threshold).sum())
    value = sure / len(confidence)
    own = wilson_interval(sure, len(confidence), level)
    known = wilson_interval(round(fitted.accuracy * fitted.images), fitted.images, level)
    below = np.hypot(value - own[0], fitted.accuracy - known[0])
    above = np.hypot(own[1] - value, known[1] - fitted.accuracy)
    return Estimate(value, float(max(0, value - below)), float(min(1, value + above)))


def compare_confidence(
    batch: np.ndarray, reference: np.ndarray, effort: Effort, rng: np.random.Generator
) -> Verdict:
    """Test whether the batch's confidence ``(n,)`` is lower than the reference's ``(m,)``.

    The statistic is by how much its mean is lower, a fraction.
    """
    pooled = np.concatenate([batch, reference]).astype(np.float64)
    usual = float(reference.mean(dtype=np.float64))

    def draws() -> Iterator[np.ndarray]:
        while True:
            drawn = [pooled[subset(len(pooled), len(batch), rng)].mean() for _ in range(CHUNK)]
            # A drawn batch is compared with the rest, as the batch is with the reference.
            rest = (pooled.sum() - len(batch) * np.array(drawn)) / len(reference)
            yield rest - np.array(drawn)

    return verdict(usual - float(batch.mean(dtype=np.float64)), draws(), effort)


def compare_hits(
    batch: tuple[int, int], reference: tuple[int, int], effort: Effort, rng: np.random.Generator
) -> Verdict:
    """Test whether (right answers, images) of the batch are fewer than the reference's.

    The statistic is by how much the accuracy is lower, a fraction.
    """
    (right, images), (usual, others) = batch, reference

    def loss(hits: np.ndarray | int) -> np.ndarray:
        return np.asarray((right + usual - hits) / others - hits / images)

    def draws() -> Iterator[np.ndarray]:
        wrong = images - right + others - usual
        while True:
            yield loss(rng.hypergeometric(right + usual, wrong, images, CHUNK))

    return verdict(float(loss(right)), draws(), effort)
