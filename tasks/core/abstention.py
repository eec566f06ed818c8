"""When to answer and when to hand an image to a person: a threshold on the confidence.

Confidence is the probability of the most probable class. ``labels`` is ``(n,)`` integers and
``probabilities`` ``(n, classes)``; risk is the fraction of wrong answers among those given,
coverage the fraction of images that get one.
"""

from typing import NamedTuple

import numpy as np

ANSWERED, TO_A_PERSON = "answered", "to a person"
NEVER = 2.0  # a threshold above every confidence


class Curve(NamedTuple):
    """Coverage, risk and the threshold that gives them, ``(points,)`` float64 each.

    From the most confident image on to all of them, each threshold once.
    """

    coverage: np.ndarray
    risk: np.ndarray
    threshold: np.ndarray


class Outcome(NamedTuple):
    """What a threshold comes to on some images."""

    threshold: float
    images: int
    answered: int
    errors: int

    @property
    def coverage(self) -> float:
        """Return the fraction of images that get an answer."""
        return self.answered / self.images

    @property
    def risk(self) -> float:
        """Return the fraction of wrong answers among those given; 0 if none is."""
        return self.errors / max(self.answered, 1)

    def as_dict(self) -> dict[str, float]:
        """Return fields, coverage and risk by name."""
        return {**self._asdict(), "coverage": self.coverage, "risk": self.risk}


def curve(labels: np.ndarray, probabilities: np.ndarray) -> Curve:
    """Return risk by coverage; images of the same confidence are answered together.

    Source: El-Yaniv and Wiener, "On the foundations of noise-free selective classification",
    2010.
    """
    confidence, hits = probabilities.max(1), probabilities.argmax(1) == labels
    order = np.argsort(-confidence, kind="stable")
    confidence, wrong = confidence[order], ~hits[order]
    last = np.flatnonzero(np.append(np.diff(confidence) != 0, True))  # of each confidence
    answered = last + 1
    return Curve(answered / len(labels), np.cumsum(wrong)[last] / answered, confidence[last])


def thin(full: Curve, points: int) -> Curve:
    """Return at most ``points`` of the curve's points, evenly spread over the coverage."""
    wanted = np.linspace(full.coverage[0], 1, points)
    kept = np.unique(np.searchsorted(full.coverage, wanted - 1e-12))
    return Curve(*(values[kept] for values in full))


def choose(labels: np.ndarray, probabilities: np.ndarray, *, risk: float, level: float) -> Outcome:
    """Return the lowest threshold that keeps the risk at or below ``risk``, surely enough.

    Sure enough: at that threshold the one-sided Clopper-Pearson bound of the risk at ``level``
    is at most ``risk``. `NEVER` where no threshold keeps it.

    Source: Geifman and El-Yaniv, "Selective classification for deep neural networks", 2017;
    theirs divides one minus ``level`` by the number of thresholds that it looks at.
    """
    from scipy.stats import beta

    found = curve(labels, probabilities)
    answered = np.rint(found.coverage * len(labels))
    errors = np.rint(found.risk * answered)
    bound = beta.ppf(level, errors + 1, np.maximum(answered - errors, 1e-9))
    safe = np.flatnonzero(bound <= risk)
    threshold = found.threshold[safe[-1]] if len(safe) else NEVER
    return outcome(labels, probabilities, float(threshold))


def outcome(labels: np.ndarray, probabilities: np.ndarray, threshold: float) -> Outcome:
    """Return what ``threshold`` comes to on these images."""
    given, wrong = answered(probabilities, threshold), probabilities.argmax(1) != labels
    return Outcome(threshold, len(labels), int(given.sum()), int((given & wrong).sum()))


def answered(probabilities: np.ndarray, threshold: float) -> np.ndarray:
    """Return which images get an answer, bool ``(n,)``; the others go to a person."""
    return np.asarray(probabilities.max(1) >= np.float32(threshold))
