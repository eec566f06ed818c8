"""What changed in a batch: each test told apart from the others, on images made for it."""

import numpy as np
import pytest

from tasks.core import (
    shift_accuracy,
    shift_columns,
    shift_input,
    shift_judgement,
    shift_labels,
    shift_reference,
)
from tasks.core.shift import Effort, verdict
from tasks.core.shift_accuracy import Rule
from tasks.core.shift_input import Binned
from tasks.core.shift_judgement import Labelled, Limits
from tasks.core.shift_reference import Reference, Sample
from tasks.io import params, reference
from tasks.io.monitoring_params import Monitor
from tasks.io.stage import StageError

EFFORT = Effort(level=0.01, resamples=500)
LIMITS = Limits(false_alarms=0.02, resamples=400, tolerance=0.03, labelled=0.9, level=0.95)
CLASSES = 3


def draw(*values: list[float]):
    return iter([np.array(chunk) for chunk in values])


def test_a_statistic_that_no_draw_reaches_alarms_with_the_smallest_p_value_that_is_possible():
    found = verdict(3.0, draw([1.0] * 99), Effort(0.05, 99))
    assert (found.p_value, found.alarm, found.threshold) == (0.01, True, 1.0)


def test_a_tie_counts_against_the_alarm():
    found = verdict(1.0, draw([1.0] * 99), Effort(0.05, 99))
    assert (found.p_value, found.alarm) == (1.0, False)


def test_from_the_threshold_on_fewer_draws_than_the_level_allows_are_as_large():
    drawn = np.arange(99.0)
    at = verdict(94.5, draw(drawn), Effort(0.05, 99))  # 95, 96, 97 and 98 reach it
    assert (at.threshold, at.alarm, at.p_value) == (94.0, True, 0.05)
    below = verdict(93.5, draw(drawn), Effort(0.05, 99))
    assert (below.alarm, below.p_value) == (False, 0.06)


def test_in_a_hurry_the_draws_end_when_no_alarm_is_possible_any_more():
    found = verdict(0.0, draw([1.0] * 10, [1.0] * 89), Effort(0.05, 99, hurry=True))
    assert (len(found.drawn), found.alarm) == (10, False)


def test_a_batch_of_another_look_moves_the_column_that_changed():
    rng = np.random.default_rng(0)
    known, new = rng.normal(size=(3000, 4)).astype(np.float32), rng.normal(size=(200, 4))
    new[:, 2] += 1
    shift = compare(new.astype(np.float32), known)
    assert shift.verdict.alarm
    assert shift.moved.argmax() == 2
    assert (shift.p_values[2], shift.p_values[[0, 1, 3]].min() > 0.05) == (1 / 501, True)


def compare(new, known, new_classes=None, known_classes=None, tolerance=0.0):
    edges = shift_input.edges(known)
    batch = Binned(shift_input.codes(new, edges), classes_or(new_classes, new))
    held = Binned(shift_input.codes(known, edges), classes_or(known_classes, known))
    return shift_input.compare(batch, held, tolerance, EFFORT, np.random.default_rng(1))


def classes_or(given, rows):
    return np.zeros(len(rows), int) if given is None else given


def test_other_shares_of_classes_are_no_other_look():
    rng = np.random.default_rng(2)
    known_classes, new_classes = np.arange(3000) % 2, (np.arange(300) < 30).astype(int)
    known, new = (
        (rng.normal(size=(len(c), 1)) + 5 * c[:, None]).astype(np.float32)
        for c in (known_classes, new_classes)
    )
    assert not compare(new, known, new_classes, known_classes).verdict.alarm
    assert compare(new, known).verdict.alarm  # without regard to the classes it would be


def test_a_few_images_beyond_everything_known_are_seen():
    rng = np.random.default_rng(3)
    known, new = (rng.normal(size=(n, 1)).astype(np.float32) for n in (3000, 400))
    new[:20] += 10
    assert compare(new, known, tolerance=0.03).verdict.alarm


def test_a_difference_below_the_tolerance_is_none():
    rng = np.random.default_rng(4)
    known, new = (rng.normal(size=(n, 1)).astype(np.float32) for n in (20_000, 10_000))
    new += 0.075  # at most 0.03 of the images lie on the other side of any edge
    assert compare(new, known).verdict.alarm
    assert not compare(new, known, tolerance=0.04).verdict.alarm


def test_a_batch_of_one_image_can_be_judged():
    known = np.random.default_rng(5).normal(size=(2000, 2)).astype(np.float32)
    assert not compare(np.zeros((1, 2), np.float32), known).verdict.alarm
    assert compare(np.full((1, 2), 99, np.float32), known).verdict.alarm


def test_edges_have_a_bin_of_their_own_for_what_was_never_seen():
    edges = shift_input.edges(np.array([[1], [1], [2], [5]], np.float32), bins=4)
    assert edges[0, 1:4].tolist() == [1, 2, 5]
    values = np.array([[0.5], [1], [3], [5], [6], [np.nan]], np.float32)
    assert shift_input.codes(values, edges)[:, 0].tolist() == [0, 1, 3, 3, 4, 6]


def test_rarity_is_of_the_farther_out_side():
    known = np.arange(99.0)[:, None]
    rare = shift_input.rarity(np.array([[49.0], [-5.0], [500.0]]), known)
    assert rare[0, 0] == pytest.approx(0, abs=0.01)
    assert rare[1:, 0] == pytest.approx([2, 2], abs=0.01)


def test_counts_of_classes_in_other_proportions_alarm():
    held, rng = np.array([1000, 1000, 1000]), np.random.default_rng(0)
    assert shift_labels.compare(np.array([70, 15, 15]), held, EFFORT, rng).alarm
    assert not shift_labels.compare(np.array([36, 31, 33]), held, EFFORT, rng).alarm


def test_a_class_that_nobody_has_is_no_difference():
    counts = (np.array([50, 50, 0]), np.array([500, 500, 0]))
    found = shift_labels.compare(*counts, EFFORT, np.random.default_rng(0))
    assert (found.statistic, found.alarm) == (0, False)


def test_the_true_shares_follow_from_the_predicted_ones_by_the_known_confusion():
    confusion = np.array([[90, 10, 0], [5, 95, 0], [0, 20, 80]])
    true = np.array([0.2, 0.3, 0.5])
    predicted = 10_000 * (confusion / confusion.sum(1, keepdims=True)).T @ true
    assert shift_labels.estimated_shares(confusion, predicted) == pytest.approx(true)


def test_less_confidence_alarms_and_more_does_not():
    rng = np.random.default_rng(0)
    held = rng.beta(20, 1, 3000)
    assert shift_accuracy.compare_confidence(rng.beta(8, 1, 200), held, EFFORT, rng).alarm
    assert not shift_accuracy.compare_confidence(rng.beta(80, 1, 200), held, EFFORT, rng).alarm
    assert not shift_accuracy.compare_confidence(rng.beta(20, 1, 200), held, EFFORT, rng).alarm


def test_as_many_reference_images_lie_below_the_threshold_as_are_wrong():
    confidence = np.array([0.4, 0.5, 0.6, 0.9, 0.99])
    rule = shift_accuracy.rule(np.array([True, False, True, True, False]), confidence)
    assert rule == Rule(threshold=0.6, accuracy=0.6, images=5)
    assert shift_accuracy.rule(np.ones(5, bool), confidence).threshold == 0.4


def test_the_estimate_is_the_share_of_sure_answers_with_both_sampling_errors():
    sure = np.repeat([0.9, 0.1], [90, 10])
    wide = shift_accuracy.estimate(sure, Rule(0.5, 0.95, 100), 0.95)
    narrow = shift_accuracy.estimate(sure, Rule(0.5, 0.95, 1_000_000), 0.95)
    assert wide.value == narrow.value == 0.9
    assert wide.low < narrow.low < 0.85
    assert narrow.low == pytest.approx(0.8256, abs=1e-3)  # Wilson's of 90 in 100
    assert wide.high > narrow.high > 0.94


def test_fewer_right_answers_than_usual_alarm():
    rng = np.random.default_rng(0)
    assert shift_accuracy.compare_hits((85, 100), (2970, 3000), EFFORT, rng).alarm
    assert not shift_accuracy.compare_hits((98, 100), (2970, 3000), EFFORT, rng).alarm


@pytest.fixture(scope="module")
def held() -> Reference:
    images, labels = squares(600, seed=0)
    return shift_reference.build(
        images,
        rows=np.arange(600),
        folds=np.arange(600) % 2,
        labels=labels,
        probabilities=said(labels, 0.97, seed=1),
        member_folds=np.array([0, 1]),
        size=500,
        rng=np.random.default_rng(2),
    )


def squares(count: int, seed: int, share=(1, 1, 1)):
    """Return images with a square whose side is that of its class, at a place by chance."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(CLASSES, count, p=np.array(share) / sum(share)).astype(np.uint8)
    images = np.zeros((count, 28, 28), np.uint8)
    for image, label in zip(images, labels, strict=True):
        top, left = rng.integers(4, 12, 2)
        image[top : top + 6 + 2 * label, left : left + 6 + 2 * label] = rng.integers(200, 256)
    return images, labels


def said(labels: np.ndarray, sure: float, seed: int) -> np.ndarray:
    """Return probabilities that are right as often as they say."""
    rng = np.random.default_rng(seed)
    confidence = np.clip(rng.normal(sure, 0.01, len(labels)), 0.4, 0.999)
    right = rng.random(len(labels)) < confidence
    best = np.where(right, labels, (labels + 1) % CLASSES)
    found = np.repeat((1 - confidence)[:, None] / 2, CLASSES, axis=1)
    found[np.arange(len(labels)), best] = confidence
    return found.astype(np.float32)


def judge(held, images, probabilities, right=None):
    batch = Sample(shift_columns.columns(images, held.frame), probabilities)
    labelled = Labelled(0, 0) if right is None else Labelled(right, len(images))
    return shift_judgement.judge(
        batch,
        shift_judgement.prepare(held),
        LIMITS,
        np.random.default_rng(3),
        images=len(images),
        labelled=labelled,
    )


def test_nothing_new_is_no_kind_of_change(held):
    images, labels = squares(150, seed=5)
    found = judge(held, images, said(labels, 0.97, seed=6))
    assert found.kinds == ()
    assert found.loss.low < 0 < found.loss.high
    assert (found.real, found.real_accuracy) == (None, None)


def test_other_shares_of_classes_are_a_label_shift_alone(held):
    images, labels = squares(150, seed=7, share=(6, 1, 1))
    found = judge(held, images, said(labels, 0.97, seed=8))
    assert found.kinds == ("label shift",)
    assert found.true_shares.argmax() == 0


def test_images_of_another_look_are_an_input_shift_alone(held):
    images, labels = squares(150, seed=9)
    found = judge(held, np.where(images > 0, 90, images).astype(np.uint8), said(labels, 0.97, 6))
    assert found.kinds == ("input shift",)


def test_classes_that_shift_with_the_looks_are_no_label_shift(held):
    images, labels = squares(150, seed=9)
    darker = np.where(images > 0, 90, images).astype(np.uint8)
    found = judge(held, darker, said(np.zeros_like(labels), 0.97, seed=10))
    assert found.labels.alarm
    assert found.kinds == ("input shift",)


def test_less_confidence_is_a_loss_of_accuracy(held):
    images, labels = squares(150, seed=11)
    found = judge(held, images, said(labels, 0.8, seed=12))
    assert found.kinds == ("accuracy loss",)
    assert found.loss.low > 0.02


def test_where_labels_came_with_the_batch_they_have_the_word(held):
    images, labels = squares(150, seed=11)
    unsure, sure = said(labels, 0.8, seed=12), said(labels, 0.97, seed=13)
    well, badly = judge(held, images, unsure, right=149), judge(held, images, sure, right=120)
    assert (well.kinds, well.accuracy.alarm) == ((), True)
    assert (badly.kinds, badly.accuracy.alarm) == (("accuracy loss",), False)
    assert badly.real_accuracy.value == 0.8


def test_a_few_labels_have_no_word(held):
    images, labels = squares(150, seed=5)
    found = shift_judgement.judge(
        Sample(shift_columns.columns(images, held.frame), said(labels, 0.97, seed=6)),
        shift_judgement.prepare(held),
        LIMITS,
        np.random.default_rng(3),
        images=150,
        labelled=Labelled(2, 20),
    )
    assert (found.by_labels, found.kinds) == (False, ())
    assert found.real.alarm


def test_a_new_image_is_judged_by_the_members_of_one_fold(held):
    members = np.zeros((400, 2, CLASSES), np.float32)
    members[:, 0, 0] = members[:, 1, 1] = 1
    judged = shift_reference.judged(members, held, np.random.default_rng(0))
    assert np.unique(judged, axis=0).tolist() == [[0, 1, 0], [1, 0, 0]]
    assert 0.4 < judged[:, 0].mean() < 0.6


def test_members_of_one_fold_are_averaged(held):
    of_three = held._replace(member_folds=np.array([0, 0, 1]), folds=np.zeros(500, np.uint8))
    members = np.array([[[1, 0, 0], [0, 1, 0], [0, 0, 1]]], np.float32)
    judged = shift_reference.judged(members, of_three, np.random.default_rng(0))
    assert judged.tolist() == [[0.5, 0.5, 0]]


def test_the_distance_sees_what_no_column_alone_does():
    rng = np.random.default_rng(0)
    images, _ = squares(800, seed=1)
    frame = shift_columns.frame(images, components=3)
    known, names = shift_columns.columns(images, frame), shift_columns.names(3)
    assert known.shape == (800, len(names))
    assert 0.5 < np.sqrt(np.square(known[:, -1]).mean()) < 1.01  # 1, but for constant columns
    scattered = rng.permuted(images.reshape(800, -1), axis=1).reshape(images.shape)
    assert np.median(shift_columns.columns(scattered, frame)[:, -1]) > known[:, -1].max()


def test_a_reference_is_the_same_once_written_and_read(held, tmp_path):
    paths = tmp_path / "one.npz", tmp_path / "two.npz"
    for path in paths:
        reference.save(path, held)
    one, two = (path.read_bytes() for path in paths)
    assert one == two
    found = reference.parse(one, "one.npz")
    assert found._fields == held._fields
    assert np.array_equal(found.columns, held.columns)
    assert np.array_equal(found.frame.whitening, held.frame.whitening)
    assert found.names[-1] == "distance"


def test_what_is_no_reference_is_named():
    with pytest.raises(StageError, match=r"^digits@v1: expected the arrays of a reference; "):
        reference.parse(b"PK", "digits@v1")


def test_typical_images_are_of_every_class(held):
    assert np.unique(held.typical_labels).tolist() == [0, 1, 2]
    assert held.typical.shape == (len(held.typical_labels), 28, 28)


def test_too_few_resamples_for_the_rate_of_false_alarms_are_refused():
    section = {**params.load()["monitor"], "resamples": 500}
    with pytest.raises(StageError) as error:
        params.parse(Monitor, "monitor", section)
    assert str(error.value).startswith(
        "params.yaml: monitor must be at least 600 resamples to know one of 600 cases"
    )
