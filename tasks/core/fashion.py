"""Fashion-MNIST, whose files tell its classes by number alone.

Source: Xiao, Rasul and Vollgraf, "Fashion-MNIST: a novel image dataset for benchmarking machine
learning algorithms", 2017.
"""

from collections.abc import Sequence

import numpy as np

from tasks.core import idx
from tasks.core.classes import DIGITS

CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
"""The classes 0 to 9 by name."""
SHA256 = (
    "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
)
"""SHA-256 of the published training and test labels as IDX files, uncompressed."""


def is_published(train: Sequence[str], test: Sequence[str]) -> bool:
    """Tell whether labels, each a digit, are those of the published data set in its order."""
    both = (train, test)
    if any(not {*labels} <= {*DIGITS} for labels in both):
        return False
    found = (idx.digest(np.array(labels, dtype="U1").astype(np.uint8)) for labels in both)
    return tuple(found) == SHA256
