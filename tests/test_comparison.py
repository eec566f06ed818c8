"""Two models on the same images: the test, the interval, the words."""

import numpy as np
import pytest

from tasks.core import comparison


def answers(images: int, ahead: int, behind: int) -> dict[str, np.ndarray]:
    """Return answers of which ``ahead`` are the challenger's alone, ``behind`` the champion's."""
    challenger, champion = np.ones(images, bool), np.ones(images, bool)
    champion[:ahead] = False
    challenger[ahead : ahead + behind] = False
    return {"challenger": challenger, "champion": champion}


def compare(ahead: int, behind: int, images: int = 10_000) -> comparison.Comparison:
    return comparison.compare(
        **answers(images, ahead, behind),
        level=0.95,
        resamples=10_000,
        rng=np.random.default_rng(0),
    )


@pytest.mark.parametrize(
    ("ahead", "behind", "p_value"),
    [
        (0, 0, 1.0),
        (1, 1, 1.0),
        (0, 1, 1.0),
        (5, 15, 0.041389465332),  # two tails of the binomial distribution, 20 throws
        (0, 10, 2 / 2**10),
    ],
)
def test_mcnemars_exact_p_value(ahead, behind, p_value):
    assert comparison.mcnemar(ahead, behind) == pytest.approx(p_value, rel=1e-9)


@pytest.mark.parametrize(
    ("ahead", "behind", "word"),
    [(20, 5, "superior"), (5, 20, "worse"), (12, 12, "equal"), (9, 4, "equal"), (0, 0, "equal")],
)
def test_the_word_follows_the_test(ahead, behind, word):
    found = compare(ahead, behind)
    assert (found.word, found.only_challenger, found.only_champion) == (word, ahead, behind)


def test_images_that_both_answer_alike_change_nothing_but_the_unit():
    few, many = compare(20, 5, 1000), compare(20, 5, 100_000)
    assert few.p_value == many.p_value
    assert few.difference == 100 * many.difference == 0.015


def test_the_interval_is_that_of_the_difference_of_two_dependent_shares():
    found = compare(30, 50)
    error = np.sqrt(80 - 20**2 / 10_000) / 10_000  # of the difference, by theory
    assert found.difference == -0.002
    assert found.low == pytest.approx(-0.002 - 1.96 * error, abs=1e-4)
    assert found.high == pytest.approx(-0.002 + 1.96 * error, abs=1e-4)


def test_the_same_answers_have_an_interval_of_nothing():
    assert compare(0, 0)[4:] == (0.0, 0.0, 0.0)


def test_by_image_the_interval_is_that_of_a_mean():
    differences = np.random.default_rng(1).normal(0.01, 0.1, 500)
    found = comparison.bootstrap_by_image(
        differences, level=0.95, resamples=4000, rng=np.random.default_rng(0)
    )
    error = differences.std() / np.sqrt(500)
    assert found.difference == differences.mean()
    assert found.low == pytest.approx(differences.mean() - 1.96 * error, abs=error / 5)
    assert found.high == pytest.approx(differences.mean() + 1.96 * error, abs=error / 5)
