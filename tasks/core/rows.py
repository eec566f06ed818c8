"""Numbers for training rows that stay the same whatever part of them a run has."""

from typing import NamedTuple

import numpy as np


class Rows(NamedTuple):
    """How the training rows are numbered, whatever part of them a run has.

    The data set's ``total`` rows come first, of which the run has the first ``own``; then come
    the ``feedback`` rows, which in the run's arrays stand right behind its own ones.
    """

    own: int
    total: int
    feedback: int

    @property
    def last(self) -> int:
        """Return the highest number."""
        return self.total + self.feedback - 1

    def numbers(self, places: np.ndarray) -> np.ndarray:
        """Return the numbers of the rows at these ``places`` of the run's arrays."""
        return np.where(places < self.own, places, places - self.own + self.total)

    def place(self, number: int) -> int | None:
        """Return where in the run's arrays a row stands; None if the run does not have it."""
        if number < self.total:
            return number if number < self.own else None
        return number - self.total + self.own
