import numpy as np
import pytest

from tasks.core import calibration


def test_softmax_of_equal_scores_is_uniform_even_when_they_are_huge():
    assert calibration.softmax(np.array([[1e6, 1e6]])).tolist() == [[0.5, 0.5]]


def test_a_temperature_of_one_changes_nothing():
    probabilities = np.array([[0.7, 0.2, 0.1]])
    assert calibration.scale(probabilities, 1.0) == pytest.approx(probabilities)


def test_a_temperature_of_one_half_squares_the_odds():
    assert calibration.scale(np.array([[0.75, 0.25]]), 0.5) == pytest.approx(np.array([[0.9, 0.1]]))


def test_a_probability_of_zero_stays_a_number():
    assert np.isfinite(calibration.scale(np.array([[1.0, 0.0]]), 0.1)).all()


def test_the_fitted_temperature_undoes_the_one_that_was_planted():
    rng = np.random.default_rng(0)
    honest = calibration.softmax(rng.normal(0, 2, (20_000, 10)))
    labels = (honest.cumsum(1) > rng.random((len(honest), 1))).argmax(1)
    overconfident = calibration.scale(honest, 0.5)
    assert calibration.fit_temperature(labels, overconfident) == pytest.approx(2.0, rel=0.03)
