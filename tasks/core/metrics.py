"""Scores of a classifier from its probabilities; every function is arrays in, numbers out.

Throughout, ``labels`` is ``(n,)`` integers in ``[0, classes)`` and ``probabilities`` is
``(n, classes)`` with rows that sum to one. Rates are fractions, not percent.
"""

import math
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

_SMALLEST = 1e-12  # keeps a probability of zero from making the log loss infinite


class PerClass(NamedTuple):
    """One value a class, ``(classes,)`` float64 each; 0 where a rate has no cases."""

    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray
    support: np.ndarray


class Reliability(NamedTuple):
    """Confidence against accuracy, ``(bins,)`` each; bins hold equal numbers of images."""

    confidence: np.ndarray
    accuracy: np.ndarray
    images: np.ndarray


def accuracy(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Return the fraction of images whose most probable class is their label."""
    return float(np.mean(probabilities.argmax(1) == labels))


def confusion_matrix(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Return ``(classes, classes)`` counts: rows are true classes, columns predicted ones."""
    cells = labels.astype(np.int64) * classes + predicted
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


def per_class(confusion: np.ndarray) -> PerClass:
    """Return precision, recall and F1 of every class of a confusion matrix."""
    hits = np.diag(confusion).astype(np.float64)
    support, claimed = confusion.sum(1), confusion.sum(0)
    return PerClass(
        precision=_ratio(hits, claimed),
        recall=_ratio(hits, support),
        f1=_ratio(2 * hits, support + claimed),
        support=support,
    )


def log_loss(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Return the mean negative log probability of the label, in nats."""
    given = np.take_along_axis(probabilities, labels.astype(np.int64)[:, None], axis=1)
    return float(-np.log(np.maximum(given, _SMALLEST, dtype=np.float64)).mean())


def brier_score(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Return the mean squared distance to the one-hot label, in [0, 2] (Brier 1950)."""
    target = np.eye(probabilities.shape[1])[labels]
    return float(np.square(probabilities - target).sum(1).mean())


def reliability(labels: np.ndarray, probabilities: np.ndarray, bins: int) -> Reliability:
    """Return mean confidence and accuracy in ``bins`` groups of equal size, lowest first.

    Groups of equal size, not of equal width: nearly all confidences of a good classifier
    lie close to one, and bins of equal width would leave all but the last nearly empty.
    """
    confidence = probabilities.max(1).astype(np.float64)
    correct = probabilities.argmax(1) == labels
    groups = np.array_split(np.argsort(confidence, kind="stable"), bins)
    groups = [group for group in groups if len(group)]
    return Reliability(
        confidence=np.array([confidence[group].mean() for group in groups]),
        accuracy=np.array([correct[group].mean() for group in groups]),
        images=np.array([len(group) for group in groups]),
    )


def expected_calibration_error(table: Reliability) -> float:
    """Return the mean distance of confidence from accuracy, weighted by the bins' images.

    Source: Naeini, Cooper and Hauskrecht, 2015, with bins of equal size.
    """
    gap = np.abs(table.confidence - table.accuracy)
    return float(np.average(gap, weights=table.images))


def wilson_interval(correct: int, total: int, level: float = 0.95) -> tuple[float, float]:
    """Return the interval of a fraction ``correct / total`` (Wilson 1927).

    Raises
    ------
    ValueError
        If ``total`` is not positive, or ``correct`` lies outside ``[0, total]``.
    """
    if not 0 <= correct <= total or total == 0:
        raise ValueError(f"expected 0 <= correct <= total and total > 0; got {correct}, {total}")
    z = NormalDist().inv_cdf(0.5 + level / 2)
    rate, weight = correct / total, z * z / total
    centre = (rate + weight / 2) / (1 + weight)
    half = z * math.sqrt(rate * (1 - rate) / total + weight / (4 * total)) / (1 + weight)
    return max(0.0, centre - half), min(1.0, centre + half)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)


def fit_verdict(
    train: float, validation: float, test: float, *, overfit_gap: float, underfit_below: float
) -> str:
    """Say in words whether a model over- or underfits, from its three accuracies.

    A gap between training and held-out images is overfitting; a low score on the very
    images that it was fitted on is underfitting.
    """
    figures = f"training {train:.2%}, held out {validation:.2%}, test {test:.2%}"
    if train - validation > overfit_gap:
        return f"overfits: {figures}; the gap is over {overfit_gap:.2%}"
    if train < underfit_below:
        return f"underfits: {figures}; training is under {underfit_below:.2%}"
    return f"fits: {figures}"
