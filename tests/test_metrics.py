import numpy as np
import pytest

from tasks.core import metrics

LABELS = np.array([0, 1, 2, 2])
PROBABILITIES = np.array([[0.8, 0.1, 0.1], [0.2, 0.5, 0.3], [0.1, 0.7, 0.2], [0.0, 0.0, 1.0]])


def test_accuracy_is_the_share_of_most_probable_classes_that_are_right():
    assert metrics.accuracy(LABELS, PROBABILITIES) == 0.75


def test_confusion_matrix_has_true_classes_in_rows():
    found = metrics.confusion_matrix(LABELS, PROBABILITIES.argmax(1), classes=3)
    assert found.tolist() == [[1, 0, 0], [0, 1, 0], [0, 1, 1]]


def test_confusion_matrix_does_not_overflow_small_integers():
    labels = np.full(300, 9, np.uint8)
    assert metrics.confusion_matrix(labels, labels, classes=10)[9, 9] == 300


def test_per_class_rates_of_a_known_matrix():
    rates = metrics.per_class(np.array([[1, 0, 0], [0, 1, 0], [0, 1, 1]]))
    assert rates.precision.tolist() == [1, 0.5, 1]
    assert rates.recall.tolist() == [1, 1, 0.5]
    assert rates.f1 == pytest.approx([1, 2 / 3, 2 / 3])
    assert rates.support.tolist() == [1, 1, 2]


def test_a_class_that_never_occurs_has_rate_zero_and_no_warning():
    rates = metrics.per_class(np.array([[2, 0], [0, 0]]))
    assert (rates.precision[1], rates.recall[1], rates.f1[1]) == (0, 0, 0)


def test_log_loss_is_the_mean_of_minus_log_of_the_labels_probability():
    expected = -(np.log(0.8) + np.log(0.5) + np.log(0.2) + np.log(1.0)) / 4
    assert metrics.log_loss(LABELS, PROBABILITIES) == pytest.approx(expected)


def test_log_loss_of_a_certain_error_is_finite():
    assert metrics.log_loss(np.array([0]), np.array([[0.0, 1.0]])) == pytest.approx(
        27.631, abs=1e-3
    )


def test_brier_score_is_two_for_a_certain_error_and_zero_for_a_certain_hit():
    certain = np.array([[0.0, 1.0]])
    assert metrics.brier_score(np.array([0]), certain) == 2
    assert metrics.brier_score(np.array([1]), certain) == 0


def test_reliability_groups_hold_equal_numbers_lowest_confidence_first():
    table = metrics.reliability(LABELS, PROBABILITIES, bins=2)
    assert table.images.tolist() == [2, 2]
    assert table.confidence == pytest.approx([0.6, 0.9])
    assert table.accuracy.tolist() == [0.5, 1.0]


def test_calibration_error_is_the_mean_gap_weighted_by_images():
    table = metrics.Reliability(np.array([0.6, 0.9]), np.array([0.5, 1.0]), np.array([1, 3]))
    assert metrics.expected_calibration_error(table) == pytest.approx((0.1 + 3 * 0.1) / 4)


def test_wilson_interval_of_9970_in_10000():
    low, high = metrics.wilson_interval(9970, 10_000)
    assert (low, high) == (pytest.approx(0.995720, abs=1e-6), pytest.approx(0.997898, abs=1e-6))


def test_wilson_interval_of_all_correct_does_not_pass_one():
    assert metrics.wilson_interval(10, 10)[1] == 1


@pytest.mark.parametrize(("correct", "total"), [(-1, 10), (11, 10), (0, 0)])
def test_wilson_interval_refuses_impossible_counts(correct, total):
    with pytest.raises(ValueError, match="expected 0 <= correct <= total and total > 0; got"):
        metrics.wilson_interval(correct, total)


@pytest.mark.parametrize(
    ("train", "validation", "word"),
    [(0.999, 0.98, "overfits"), (0.92, 0.92, "underfits"), (0.995, 0.994, "fits")],
)
def test_fit_verdict_names_over_and_underfitting(train, validation, word):
    said = metrics.fit_verdict(train, validation, 0.9, overfit_gap=0.01, underfit_below=0.97)
    assert said.startswith(f"{word}: training ")
