"""A batch's judgement: the tests together, and which kinds of change they come to."""

from typing import NamedTuple

import numpy as np

from tasks.core import metrics, shift_accuracy, shift_input, shift_labels
from tasks.core.shift import Effort, Verdict
from tasks.core.shift_accuracy import Estimate, Rule
from tasks.core.shift_input import Binned, Shift
from tasks.core.shift_reference import Reference, Sample

INPUT, LABELS, ACCURACY, UNREADABLE = "input shift", "label shift", "accuracy loss", "unreadable"
"""The kinds of alarm."""
TESTS = 3
"""Tests that can alarm, each at its part of the rate of false alarms (Bonferroni)."""


class Prepared(NamedTuple):
    """A reference, and what each batch is held against: made once for many batches."""

    reference: Reference
    edges: np.ndarray
    binned: Binned
    confidence: np.ndarray
    rule: Rule
    confusion: np.ndarray


class Limits(NamedTuple):
    """When to alarm: see the section ``monitor`` of ``params.yaml``."""

    false_alarms: float
    resamples: int
    tolerance: float
    labelled: float
    level: float


class Labelled(NamedTuple):
    """What the labels that came with a batch say: of ``images``, ``right`` were answered right."""

    right: int
    images: int


class Judgement(NamedTuple):
    """What the tests found.

    ``accuracy`` is the test of confidence; ``real``, that of right answers, votes in its place
    where most images came with labels (``by_labels``). ``estimate`` is the accuracy expected
    without labels, ``usual`` that of the reference. ``predicted`` and ``expected`` are shares of
    classes ``(k,)``; ``true_shares`` what the predicted ones come to if no image changed its looks.
    """

    images: int
    input: Shift
    labels: Verdict
    accuracy: Verdict
    real: Verdict | None
    real_accuracy: Estimate | None
    by_labels: bool
    estimate: Estimate
    usual: float
    predicted: np.ndarray
    expected: np.ndarray
    true_shares: np.ndarray
    kinds: tuple[str, ...]

    @property
    def loss(self) -> Estimate:
        """Return the accuracy that the batch is estimated to have lost, with its interval."""
        value, low, high = self.estimate
        return Estimate(self.usual - value, self.usual - high, self.usual - low)


def prepare(reference: Reference) -> Prepared:
    """Return the reference with its bins, its confusion and its rule of estimation."""
    edges = shift_input.edges(reference.columns)
    predicted = reference.probabilities.argmax(1)
    confidence = reference.probabilities.max(1)
    classes = reference.probabilities.shape[1]
    return Prepared(
        reference,
        edges,
        Binned(shift_input.codes(reference.columns, edges), predicted),
        confidence,
        shift_accuracy.rule(predicted == reference.labels, confidence),
        metrics.confusion_matrix(reference.labels, predicted, classes),
    )


def judge(
    batch: Sample,
    prepared: Prepared,
    limits: Limits,
    rng: np.random.Generator,
    *,
    images: int,
    labelled: Labelled,
    hurry: bool = False,
) -> Judgement:
    """Hold a sample of a batch of ``images`` readable images against the reference.

    ``hurry`` leaves the draws out that cannot change a decision: see `tasks.core.shift.Effort`.
    """
    effort = Effort(limits.false_alarms / TESTS, limits.resamples, hurry)
    confidence, predicted = batch.probabilities.max(1), batch.probabilities.argmax(1)
    binned = Binned(shift_input.codes(batch.columns, prepared.edges), predicted)
    counts = np.bincount(predicted, minlength=len(prepared.confusion))
    usual = prepared.confusion.sum(0)
    real = _real(labelled, prepared, effort, rng)
    by_labels = labelled.images >= limits.labelled * images
    shift = shift_input.compare(binned, prepared.binned, limits.tolerance, effort, rng)
    labels = shift_labels.compare(counts, usual, effort, rng)
    accuracy = shift_accuracy.compare_confidence(confidence, prepared.confidence, effort, rng)
    alarms = (shift.verdict.alarm, labels.alarm, (real if by_labels and real else accuracy).alarm)
    return Judgement(
        images=len(predicted),
        input=shift,
        labels=labels,
        accuracy=accuracy,
        real=real,
        real_accuracy=_real_accuracy(labelled, limits.level),
        by_labels=by_labels,
        estimate=shift_accuracy.estimate(confidence, prepared.rule, limits.level),
        usual=prepared.rule.accuracy,
        predicted=counts / counts.sum(),
        expected=usual / usual.sum(),
        true_shares=shift_labels.estimated_shares(prepared.confusion, counts),
        kinds=_kinds(*alarms),
    )


def _kinds(images: bool, classes: bool, accuracy: bool) -> tuple[str, ...]:
    """Name what alarms.

    Images that look different are taken for other classes, too: that the predicted classes shift
    with them is no news of its own.
    """
    kinds = {INPUT: images, LABELS: classes and not images, ACCURACY: accuracy}
    return tuple(kind for kind, alarm in kinds.items() if alarm)


def _real(
    labelled: Labelled, prepared: Prepared, effort: Effort, rng: np.random.Generator
) -> Verdict | None:
    if not labelled.images:
        return None
    reference = (int(np.trace(prepared.confusion)), int(prepared.confusion.sum()))
    return shift_accuracy.compare_hits(labelled, reference, effort, rng)


def _real_accuracy(labelled: Labelled, level: float) -> Estimate | None:
    if not labelled.images:
        return None
    return Estimate(labelled.right / labelled.images, *metrics.wilson_interval(*labelled, level))
