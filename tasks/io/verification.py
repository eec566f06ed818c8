"""Verify a registered version: it is what was registered, and it answers as it did then."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from tasks.io import fitness, git, known_batch, registry
from tasks.io.known_batch import KnownBatch
from tasks.io.registry import RegistryError, Version
from tasks.io.stage import StageError

_BLANK = KnownBatch(np.zeros((1, 28, 28), np.uint8), np.zeros((1, 10), np.float32))
_CALLS = 1  # how fast it answers is the gate's question


class Verified(NamedTuple):
    """A version's artifact; ``gap`` (probability) is None where no known batch was recorded."""

    content: bytes
    images: int
    gap: float | None


def verify(root: Path, version: Version, max_gap: float, without_batch: bool = False) -> Verified:
    """Fetch, hash and load the artifact of ``version``, and let it answer its known batch.

    ``max_gap`` is the distance in probability that its answers may have from the recorded
    ones. ``without_batch`` accepts a version that records none, as those of before there
    were known batches; it still has to load in a fresh process and to answer there.

    Raises
    ------
    RegistryError
        Naming the first of these that failed.
    """
    content = registry.fetch(root, version)
    batch = recorded_batch(root, version)
    if batch is None and not without_batch:
        raise RegistryError(
            f"{version}: its commit holds no {known_batch.FILE}, so that nobody can tell whether "
            "it still answers as it did. To take it nevertheless: --force, with a reason"
        )
    try:
        gap = fitness.check(content, batch or _BLANK, _CALLS).gap
    except StageError as error:
        raise RegistryError(f"{version}: {error}") from None
    if batch is None:
        return Verified(content, 0, None)
    if gap > max_gap:
        raise RegistryError(
            f"{version}: expected its recorded answers to {len(batch.images)} known images "
            f"within {max_gap:g}; they differ by {gap:.2g}. Another version of ONNX Runtime, or "
            "another processor?"
        )
    return Verified(content, len(batch.images), gap)


def recorded_batch(root: Path, version: Version) -> KnownBatch | None:
    """Return the known batch in the commit of ``version``; None if it holds none."""
    path = known_batch.FILE.as_posix()
    if not git.files(root, version.commit, path):
        return None
    content = git.content(root, version.commit, path)
    return known_batch.parse(content, f"{version.commit[:7]}:{path}")
