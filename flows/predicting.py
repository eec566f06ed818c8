"""``predict``: what the model says of single images, for people or for machines."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tasks.core.abstention import ANSWERED, TO_A_PERSON
from tasks.io import serving
from tasks.io.readers import stream
from tasks.io.readers.stream import Chunk
from tasks.io.scores import UNREADABLE
from tasks.io.serving import Answers, Served

_CHUNK = 64


class Prediction(NamedTuple):
    """What a model says of one image; of one that could not be read, only ``reason``."""

    id: str
    status: str
    model: str
    prediction: str | None = None
    confidence: float | None = None
    runner_up: str | None = None
    runner_up_probability: float | None = None
    probabilities: dict[str, float] | None = None
    reason: str | None = None

    def words(self) -> str:
        """Return it as one line."""
        if self.reason is not None:
            return f"{self.id}: unreadable: {self.reason}"
        return (
            f"{self.id}: {self.prediction}  {self.confidence:.2%}  {self.status}  "
            f"(next: {self.runner_up}  {self.runner_up_probability:.2%})  {self.model}"
        )


def predict(
    paths: Sequence[str | Path],
    version: str | None = None,
    as_json: bool = False,
    *,
    root: Path = Path(),
) -> int:
    """Print a line for each image of ``paths``.

    Returns
    -------
    int
        0 if at least one could be read, else 1.

    Raises
    ------
    StageError
        If there is no such model or file.
    """
    served, read = serving.load(root, version), 0
    for chunk in stream.read(paths, rows=_CHUNK):
        answers = served.answer(chunk.images)
        for row in range(len(chunk.ids)):
            found = _prediction(served, chunk, answers, row)
            read += found.reason is None
            print(_as_json(found) if as_json else found.words(), flush=True)
    return 0 if read else 1


def _prediction(served: Served, chunk: Chunk, answers: Answers, row: int) -> Prediction:
    name, reason = chunk.ids[row], chunk.faults[row]
    if reason is not None:
        return Prediction(name, UNREADABLE, served.version, reason=reason)
    said = answers.probabilities[row]
    best, *rest = np.argsort(-said, kind="stable")
    second = rest[0] if rest else best
    return Prediction(
        name,
        ANSWERED if answers.answered[row] else TO_A_PERSON,
        served.version,
        served.classes[best],
        float(said[best]),
        served.classes[second],
        float(said[second]),
        {name: float(value) for name, value in zip(served.classes, said, strict=True)},
    )


def _as_json(prediction: Prediction) -> str:
    return json.dumps(prediction._asdict(), ensure_ascii=False)
