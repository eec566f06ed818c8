"""Which softmax of the ensemble's graph is which of its members."""

from collections.abc import Sequence

import numpy as np

from tasks.core import artifact, calibration
from tasks.io import archives, models, predictions
from tasks.io.models import Model
from tasks.io.predictions import Predictions
from tasks.io.stage import StageError

_ARTIFACT = models.ENSEMBLE / "model.onnx"


def answers(
    members: Sequence[Model], parts: Sequence[Predictions], temperatures: Sequence[float]
) -> dict[str, np.ndarray]:
    """Return what each member said of the test images, scaled by its temperature, by name."""
    smallest = float(np.finfo(np.float32).tiny)
    return {
        member.name: calibration.scale(part.test, temperature, smallest)
        for member, part, temperature in zip(members, parts, temperatures, strict=True)
    }


def told_apart(
    graph: bytes, said: dict[str, np.ndarray], images: np.ndarray, tolerance: float
) -> bytes:
    """Return the graph with an output that tells its members apart, in the order of ``said``.

    Parameters
    ----------
    said
        What each member said of ``images``, and of more after them, ``(n, classes)`` by name.
    tolerance
        How far an answer of the graph's may be from what was said, in probability.

    Raises
    ------
    StageError
        If a member's stored predictions are those of no softmax in the graph, or the members'
        mean is not the graph's probability.
    """
    every = artifact.with_members(graph, range(artifact.softmaxes(graph)))
    wanted = np.array([answers[: len(images)] for answers in said.values()])
    order, gaps = artifact.match(archives.members(archives.load_onnx(every), images), wanted)
    for name, gap in zip(said, gaps, strict=True):
        _check_member(name, float(gap), tolerance)
    told = artifact.with_members(graph, order)
    session = archives.load_onnx(told)
    mean = archives.members(session, images).mean(1)
    gap = float(np.abs(mean - archives.probabilities(session, images)).max())
    if gap > tolerance:
        raise StageError(
            f"{_ARTIFACT}: expected the mean of its output {artifact.MEMBERS} to be its "
            f"probability, within {tolerance:.0e} (ensemble.tolerance); it differs by "
            f"{gap:.1e}: its {artifact.softmaxes(graph)} softmaxes are not those of {len(said)} "
            "members. Run `dvc repro` again"
        )
    return told


def _check_member(name: str, gap: float, tolerance: float) -> None:
    if gap > tolerance:
        raise StageError(
            f"{_ARTIFACT}: expected a member that answers as {models.TRAIN / name}/"
            f"{predictions.FILE} does, within {tolerance:.0e} in probability "
            f"(ensemble.tolerance); the nearest differs by {gap:.1e}. That file and "
            "model.keras beside it are not of one training: run `dvc repro` again"
        )
