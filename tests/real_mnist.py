"""The real data set, for tests that need it."""

import os
from pathlib import Path

import numpy as np
import pytest

from tasks.io import mnist as ways


def path(config: pytest.Config) -> Path:
    """Return MNIST as npz; fetched once, then kept in pytest's cache."""
    kept = config.cache.mkdir("mnist") / "mnist.npz"
    if not kept.exists():
        digits = ways.from_index(ways.Limits(timeout=60, deadline=300))
        part = kept.with_suffix(f".{os.getpid()}")  # tests run in two processes
        with part.open("wb") as file:
            np.savez(
                file,
                x_train=digits.train_images,
                y_train=digits.train_labels,
                x_test=digits.test_images,
                y_test=digits.test_labels,
            )
        part.rename(kept)
    return kept
