"""The disputed labels of MNIST's test set."""

import numpy as np

from tasks.core import disputed


def published(rows: int = 10_000) -> np.ndarray:
    labels = np.zeros(rows, np.uint8)
    for row, label in disputed.LABELS.items():
        if row < rows:
            labels[row] = label
    return labels


def test_the_rows_of_the_official_test_set_are_marked():
    found = disputed.rows(published(), is_mnist=True)
    assert np.flatnonzero(found).tolist() == sorted(disputed.LABELS)
    assert found.sum() == 15


def test_a_part_of_the_test_set_has_those_that_are_in_it():
    assert np.flatnonzero(disputed.rows(published(2000), is_mnist=True)).tolist() == [
        947,
        1621,
        1901,
    ]


def test_of_another_test_set_nothing_is_known():
    assert not disputed.rows(published(), is_mnist=False).any()
