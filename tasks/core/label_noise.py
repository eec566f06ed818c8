"""Which labels are likely wrong, by confident learning over out-of-fold probabilities.

Source: Northcutt, Jiang and Chuang, "Confident learning: estimating uncertainty in dataset
labels", 2021. All of cleanlab that the project uses stands here. Arguments are the same in
every function: labels ``(n,)`` and the probabilities ``(n, classes)`` that models gave
those images without having seen them.
"""

from typing import NamedTuple

import numpy as np


class Doubts(NamedTuple):
    """What the out-of-fold probabilities say of each label, ``(n,)`` each.

    ``order`` are positions, the most suspect label first. ``confidence`` is the probability
    of the label, ``suggested`` the most probable other class and ``suggested_probability``
    its probability. ``wrong`` marks the labels that confident learning calls wrong.
    """

    order: np.ndarray
    confidence: np.ndarray
    suggested: np.ndarray
    suggested_probability: np.ndarray
    wrong: np.ndarray


def doubts(labels: np.ndarray, probabilities: np.ndarray) -> Doubts:
    """Rank the labels and mark those that are likely wrong.

    They are ranked by the probability of the label, ties in their order. Over five trials
    with 1 % of MNIST's labels changed at random its average precision was 0.990 to 0.994 (mean
    0.992), that of confidence-weighted entropy 0.981 to 0.995 (0.988), and of the normalised
    margin 0.974 to 0.985 (0.977). Of the ways to call labels wrong, ``prune_by_class`` found
    0.86 to 0.99 of the planted ones, ``confident_learning`` 0.73 to 0.85, at precisions of
    0.89 to 0.98 and 0.98 to 0.99; unchanged, both call the same number of MNIST's wrong.
    """
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    said = _as_cleanlab_takes_it(labels, probabilities)
    confidence = get_label_quality_scores(*said, method="self_confidence")
    wrong = find_label_issues(*said, filter_by="prune_by_class", n_jobs=1)
    others = said[1].copy()
    others[np.arange(len(labels)), said[0]] = -1
    return Doubts(
        np.argsort(confidence, kind="stable"),
        confidence,
        others.argmax(1),
        others.max(1),
        wrong,
    )


def noise(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Return the estimated share of wrong labels, by the calibrated confident joint."""
    from cleanlab.count import num_label_issues

    said = _as_cleanlab_takes_it(labels, probabilities)
    return float(num_label_issues(*said, estimation_method="off_diagonal_calibrated") / len(labels))


def _as_cleanlab_takes_it(
    labels: np.ndarray, probabilities: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    return labels.astype(np.int64), probabilities.astype(np.float64)
