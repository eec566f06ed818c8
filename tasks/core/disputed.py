"""MNIST's test labels that people dispute.

Source: Northcutt, Athalye and Mueller, "Pervasive label errors in test sets destabilize
machine learning benchmarks", 2021, whose five reviewers an image are published with it: these
are the images whose label fewer than three of the five confirmed.
"""

import numpy as np

LABELS = {
    947: 8,
    1621: 0,
    1901: 9,
    2130: 4,
    2462: 2,
    2597: 5,
    2654: 6,
    3520: 6,
    3558: 5,
    5937: 5,
    6651: 0,
    6783: 1,
    8527: 4,
    9679: 6,
    9729: 5,
}
"""Row in the official test set, and the published label that people dispute."""


def rows(labels: np.ndarray, is_mnist: bool) -> np.ndarray:
    """Return which of the test images have a disputed label, bool ``(n,)``.

    ``labels`` ``(n,)`` are those of the first n official test images; of the test set of
    another data set nothing is known.
    """
    disputed = np.zeros(len(labels), dtype=bool)
    if is_mnist:
        disputed[[row for row in LABELS if row < len(labels)]] = True
    return disputed
