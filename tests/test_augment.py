import numpy as np
import pytest

from tasks.core import augment

NONE = augment.Ranges(rotation=0, scale=0, shear=0, shift=0)


def test_ranges_of_zero_give_the_identity():
    found = augment.affine_transforms(np.random.default_rng(0), 3, NONE)
    assert found.tolist() == [[1, 0, 0, 0, 1, 0, 0, 0]] * 3


def test_a_shift_moves_by_at_most_its_range_and_nothing_else():
    ranges = NONE._replace(shift=2.5)
    found = augment.affine_transforms(np.random.default_rng(0), 1000, ranges)
    assert np.abs(found[:, [2, 5]]).max() <= 2.5
    assert np.abs(found[:, [2, 5]]).max() > 2.4
    assert np.unique(found[:, [0, 1, 3, 4]], axis=0).tolist() == [[1, 0, 0, 1]]


def test_a_rotation_keeps_the_centre_and_the_area():
    ranges = NONE._replace(rotation=30)
    rows = augment.affine_transforms(np.random.default_rng(0), 100, ranges).astype(float)
    assert rows[:, 0] * rows[:, 4] - rows[:, 1] * rows[:, 3] == pytest.approx(1, abs=1e-5)
    assert rows[:, 0] * 13.5 + rows[:, 1] * 13.5 + rows[:, 2] == pytest.approx(13.5, abs=1e-4)


def test_the_same_generator_state_draws_the_same():
    ranges = augment.Ranges(10, 0.1, 0.1, 2)
    first, second = (
        augment.affine_transforms(np.random.default_rng(5), 4, ranges) for _ in range(2)
    )
    assert np.array_equal(first, second)
