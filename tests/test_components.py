import numpy as np
import pytest

from tasks.core import components


def test_the_first_component_lies_along_the_widest_spread_with_a_positive_sign():
    vectors = np.outer(np.arange(5.0), [3.0, 4.0]) + np.array([1.0, 0.0])
    basis = components.principal(vectors, 1)
    assert basis.directions == pytest.approx(np.array([[0.6, 0.8]]))
    assert basis.project(vectors)[:, 0] == pytest.approx([-10, -5, 0, 5, 10])
