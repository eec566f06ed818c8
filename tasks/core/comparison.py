"""Two models on the same images: which is better, and how sure that is.

Both models see every image, so only the images on which one is right and the other wrong
tell them apart. Throughout, ``challenger`` and ``champion`` are bool, True where a model's
answer is right.
"""

from typing import Literal, NamedTuple

import numpy as np

Word = Literal["superior", "equal", "worse"]


class Interval(NamedTuple):
    """A difference in accuracy, challenger minus champion, with the ends of its interval."""

    difference: float
    low: float
    high: float


class Comparison(NamedTuple):
    """How a challenger stands beside a champion on the same images.

    ``only_challenger`` and ``only_champion`` count the images that one alone answers right,
    ``p_value`` is that of McNemar's exact test, ``word`` its outcome at the level asked for.
    """

    word: Word
    only_challenger: int
    only_champion: int
    p_value: float
    difference: float
    low: float
    high: float


def compare(
    challenger: np.ndarray,
    champion: np.ndarray,
    *,
    level: float,
    resamples: int,
    rng: np.random.Generator,
) -> Comparison:
    """Compare right answers ``(n,)`` bool of two models on the same ``n`` images.

    Parameters
    ----------
    level
        Of the interval, such as 0.95; one minus it is the test's level of significance.
    resamples
        Of the bootstrap.
    """
    ahead, behind = int((challenger & ~champion).sum()), int((champion & ~challenger).sum())
    p_value = mcnemar(ahead, behind)
    interval = bootstrap(ahead, behind, len(champion), level=level, resamples=resamples, rng=rng)
    return Comparison(_word(ahead, behind, p_value, level), ahead, behind, p_value, *interval)


def mcnemar(ahead: int, behind: int) -> float:
    """Return the two-sided p-value of McNemar's exact test; 1 where no image tells them apart.

    Of two equally good models each wins an image that tells them apart with probability one
    half. Source: McNemar, "Note on the sampling error of the difference between correlated
    proportions or percentages", 1947; exact, by the binomial distribution.
    """
    from scipy.stats import binomtest

    return float(binomtest(ahead, ahead + behind).pvalue) if ahead + behind else 1.0


def _word(ahead: int, behind: int, p_value: float, level: float) -> Word:
    if p_value > 1 - level:
        return "equal"
    return "superior" if ahead > behind else "worse"


def bootstrap(
    ahead: int, behind: int, images: int, *, level: float, resamples: int, rng: np.random.Generator
) -> Interval:
    """Return the difference in accuracy and its percentile interval, by a paired bootstrap.

    Resampling images with their pair of answers is drawing three counts from a multinomial
    distribution: challenger alone right, champion alone right, no difference. Source: Efron
    and Tibshirani, "An introduction to the bootstrap", 1993, chapter 13.
    """
    shares = np.array([ahead, behind, images - ahead - behind]) / images
    draws = rng.multinomial(images, shares, size=resamples)
    return _interval((ahead - behind) / images, (draws[:, 0] - draws[:, 1]) / images, level)


def bootstrap_by_image(
    values: np.ndarray, *, level: float, resamples: int, rng: np.random.Generator
) -> Interval:
    """Return the mean of ``values``, one an image ``(n,)``, and its percentile interval.

    For images that are shown several times, each differently damaged: the answers to one
    image depend on each other, so that images are resampled and not answers.
    """
    rows = len(values)
    # How often each image is drawn, a batch at a time: all at once they would fill the memory.
    batches = [min(1000, resamples - start) for start in range(0, resamples, 1000)]
    share = np.full(rows, 1 / rows)
    means = [rng.multinomial(rows, share, size=batch) @ values / rows for batch in batches]
    return _interval(float(values.mean()), np.concatenate(means), level)


def _interval(difference: float, resampled: np.ndarray, level: float) -> Interval:
    low, high = np.quantile(resampled, [(1 - level) / 2, (1 + level) / 2])
    return Interval(difference, float(low), float(high))
