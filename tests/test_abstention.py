"""Abstention: the curve and the threshold."""

import numpy as np

from tasks.core import abstention

LABELS = np.zeros(8, np.uint8)


def said(confidence: list[float], wrong: list[int]) -> np.ndarray:
    """Return two-class probabilities with these confidences; ``wrong`` rows say class 1."""
    first = np.array(confidence)
    first[wrong] = 1 - first[wrong]
    return np.stack([first, 1 - first], axis=1).astype(np.float32)


def test_the_curve_goes_from_the_most_confident_to_all_and_keeps_equals_together():
    found = abstention.curve(LABELS[:4], said([0.6, 0.9, 0.75, 0.75], wrong=[0]))
    assert found.coverage.tolist() == [0.25, 0.75, 1.0]
    assert found.risk.tolist() == [0.0, 0.0, 0.25]
    assert found.threshold.tolist() == np.float32([0.9, 0.75, 0.6]).tolist()


def test_thinning_keeps_both_ends():
    confidence = np.linspace(0.55, 0.95, 500).tolist()
    full = abstention.curve(np.zeros(500, np.uint8), said(confidence, []))
    thin = abstention.thin(full, 11)
    assert len(thin.coverage) == 11
    assert (thin.coverage[0], thin.coverage[-1]) == (full.coverage[0], 1.0)


def test_the_chosen_threshold_is_the_lowest_that_surely_keeps_the_risk():
    rng = np.random.default_rng(0)
    confidence = np.sort(rng.uniform(0.5, 1.0, 20_000))
    labels = np.zeros(20_000, np.uint8)
    wrong = np.flatnonzero(rng.random(20_000) > confidence)  # as often as it says
    probabilities = said(confidence.tolist(), wrong.tolist())
    chosen = abstention.choose(labels, probabilities, risk=0.05, level=0.95)
    assert 0.04 < chosen.risk < 0.05  # below by what 20,000 images leave unsure
    lower = abstention.outcome(labels, probabilities, chosen.threshold - 0.02)
    assert lower.risk > chosen.risk
    assert lower.coverage > chosen.coverage


def test_a_surer_bound_answers_less():
    rng = np.random.default_rng(1)
    confidence = rng.uniform(0.5, 1.0, 5000)
    wrong = np.flatnonzero(rng.random(5000) > confidence)
    probabilities, labels = said(confidence.tolist(), wrong.tolist()), np.zeros(5000, np.uint8)
    loose, strict = (
        abstention.choose(labels, probabilities, risk=0.1, level=level) for level in (0.6, 0.999)
    )
    assert strict.coverage < loose.coverage


def test_where_no_threshold_is_safe_nothing_is_answered():
    chosen = abstention.choose(LABELS, said([0.9] * 8, wrong=[1]), risk=0.01, level=0.95)
    assert (chosen.threshold, chosen.answered, chosen.risk) == (abstention.NEVER, 0, 0.0)


def test_the_chosen_bound_holds_on_fresh_images_as_often_as_it_says():
    """In 200 draws of validation images the true risk is above the stated one in few."""
    rng = np.random.default_rng(2)
    broken = 0
    for _ in range(200):
        confidence = rng.uniform(0.5, 1.0, 3000)
        wrong = np.flatnonzero(rng.random(3000) > confidence)
        probabilities, labels = said(confidence.tolist(), wrong.tolist()), np.zeros(3000, np.uint8)
        threshold = abstention.choose(labels, probabilities, risk=0.1, level=0.95).threshold
        broken += 1 - (threshold + 1) / 2 > 0.1  # the true risk of uniform confidences
    assert broken <= 15  # 10 are expected, and 15 or fewer in 95 % of such tests
