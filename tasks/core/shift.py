"""Did a batch of images change beside the reference? What the tests of ``shift_*`` share.

A reference is what is known of images that the model was not trained on: their columns
(`shift_columns`), the model's probabilities, their labels. A batch is the same of new images.
Each test asks whether the two can be one population: it puts them together, draws batches of the
same size out of that again and again, and counts how often a drawn batch differs as much as the
one seen (a permutation test). So an alarm is as rare as asked for, whatever the batch's size, and
the reference's own sampling error, which grows in weight with that size, is part of it.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

CHUNK = 50
"""Draws at a time: what a hurried test does at least."""


class Effort(NamedTuple):
    """How surely a test is to decide.

    ``level`` is the rate of false alarms, ``resamples`` the number of draws. ``hurry`` ends a
    test as soon as it cannot alarm any more: the same decision, but a rough threshold.
    """

    level: float
    resamples: int
    hurry: bool = False


class Verdict(NamedTuple):
    """A test's outcome.

    From ``threshold`` on a statistic alarms. ``drawn``, ``(resamples,)``, is what the statistic
    comes to where nothing changed; ``p_value`` the share of draws that reach the one seen.
    """

    statistic: float
    threshold: float
    p_value: float
    alarm: bool
    drawn: np.ndarray


def verdict(statistic: float, chunks: Iterator[np.ndarray], effort: Effort) -> Verdict:
    """Hold ``statistic`` against draws of it where nothing changed, chunk by chunk.

    The p-value counts the batch among the draws: it is never 0, and the rate of false alarms
    never above the level. Source: Phipson and Smyth, "Permutation p-values should never be
    zero", 2010.
    """
    allowed = int(effort.level * (effort.resamples + 1) + 1e-9) - 1  # draws that may reach it
    drawn = np.empty(0)
    for chunk in chunks:
        drawn = np.concatenate([drawn, chunk])[: effort.resamples]
        if len(drawn) == effort.resamples or (effort.hurry and reached(drawn, statistic) > allowed):
            break
    above = reached(drawn, statistic)
    threshold = float(np.sort(drawn)[-1 - min(max(allowed, 0), len(drawn) - 1)])
    return Verdict(statistic, threshold, (1 + above) / (1 + len(drawn)), above <= allowed, drawn)


def reached(drawn: np.ndarray, statistic: float) -> int:
    """Return how many draws reach ``statistic``, but for rounding."""
    return int((drawn >= statistic - 1e-9 * max(1.0, abs(statistic))).sum())


def subset(pool: int, size: int, rng: np.random.Generator) -> np.ndarray:
    """Return ``size`` different numbers below ``pool``, in no order."""
    return rng.choice(pool, size, replace=False, shuffle=False)
