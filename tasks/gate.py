"""Gate: judge the ensemble by its figures and beside the current champion.

Promote or refuse, with every rule's value and threshold, in ``models/decision.json``.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from tasks.core.decision import Champion, Scores, Thresholds, decide
from tasks.io import archives, files, params, registry, sealed
from tasks.io.params import Section
from tasks.io.stage import StageError, run

MODEL = Path("models/ensemble/model.onnx")
METRICS = Path("reports/evaluate/metrics/ensemble.json")
IMAGES = Path("data/preprocess/test_images.npy")
OUT = Path("models/decision.json")


class Gate(Section):
    """Floors for the challenger, and how far it may fall behind the champion."""

    min_accuracy: float = Field(ge=0, le=1, description="fraction of test images")
    min_class_recall: float = Field(ge=0, le=1, description="recall of the worst class")
    max_calibration_error: float = Field(ge=0, le=1, description="expected calibration error")
    max_log_loss: float = Field(ge=0, description="nats")
    max_export_gap: float = Field(
        ge=0, le=1, description="accuracy between the artifact and what `evaluate` scored"
    )
    margin: float = Field(ge=0, le=1, description="accuracy it may lack beside the champion")


def main() -> None:
    """Write the decision and print it."""
    gate, place = params.section(Gate, "gate"), params.section(registry.Place, "register")
    content = judge(Path(), Thresholds(**gate.model_dump()), place)
    files.write_json(OUT, content)
    for rule in content["rules"]:
        mark = "passed" if rule["passed"] else "failed"
        print(f"{mark}  {rule['rule']} {rule['threshold']:g}: {rule['value']:.4f}")
    print(f"{content['decision']}: {'; '.join(content['reasons'])}")


def judge(root: Path, thresholds: Thresholds, place: registry.Place) -> dict[str, Any]:
    """Return the content of decision.json for the model and figures below ``root``.

    Raises
    ------
    StageError
        If the challenger, its figures or the test images are missing or damaged. A faulty
        champion is no error: the decision tells it.
    """
    model, scores, exam = _bytes(root / MODEL), _scores(root / METRICS), _exam(root)
    try:
        correct = exam.count_correct(model)
    except ModelError as error:
        raise StageError(f"{MODEL}: {error}. Run the ensemble stage again") from None
    version = registry.champion(root, place.artifact, place.stage)
    champion = _champion(root, version, exam, model, correct) if version else None
    return {
        **decide(scores, correct, len(exam.labels), champion, thresholds).as_dict(),
        "images": len(exam.labels),
        "champion": _standing(version, champion, exam) if version and champion else None,
        "challenger": _description(model, correct / len(exam.labels)),
    }


class ModelError(Exception):
    """A model cannot be loaded, or does not answer as a model of digits has to."""


@dataclass(frozen=True)
class Exam:
    """What every model answers: the test images and their labels.

    ``images`` (n, 28, 28) uint8, 0 is background; ``labels`` (n,) uint8.
    """

    images: np.ndarray
    labels: np.ndarray

    def count_correct(self, model: bytes) -> int:
        """Return how many images an ONNX ``model`` answers right.

        Raises
        ------
        ModelError
            If it cannot be loaded or run, or does not answer finite rows of ten.
        """
        answers = _answers(model, self.images)
        wanted = (len(self.images), 10)
        if answers.shape != wanted or not np.isfinite(answers).all():
            raise ModelError(f"expected finite probabilities {wanted}; got {answers.shape}")
        return int((answers.argmax(axis=1) == self.labels).sum())


def _exam(root: Path) -> Exam:
    labels = sealed.labels(root)
    return Exam(files.read_array(root / IMAGES, np.uint8, (len(labels), 28, 28)), labels)


def _answers(model: bytes, images: np.ndarray) -> np.ndarray:
    try:
        return archives.probabilities(archives.load_onnx(model), images)
    except Exception as error:  # onnxruntime has a class for every status code
        first = str(error).strip().partition("\n")[0]
        raise ModelError(f"cannot be loaded and run: {first}") from None


def _champion(
    root: Path, version: registry.Version, exam: Exam, challenger: bytes, correct: int
) -> Champion:
    if version.md5 == _md5(challenger):
        return Champion(version.version, correct, identical=True)
    try:
        model = registry.fetch(root, version)
        return Champion(version.version, exam.count_correct(model))
    except (registry.RegistryError, ModelError) as error:
        recorded = registry.recorded_accuracy(root, version.commit, METRICS)
        return Champion(version.version, fault=str(error), recorded=recorded)


def _standing(version: registry.Version, champion: Champion, exam: Exam) -> dict[str, Any]:
    count = champion.correct
    return {
        "version": version.version,
        "commit": version.commit,
        "md5": version.md5,
        "accuracy": None if count is None else count / len(exam.labels),
        "fault": champion.fault or None,
        "identical": champion.identical,
    }


def _description(model: bytes, accuracy: float) -> dict[str, Any]:
    return {
        "path": MODEL.as_posix(),
        "md5": _md5(model),
        "sha256": hashlib.sha256(model).hexdigest(),
        "bytes": len(model),
        "accuracy": accuracy,
    }


def _scores(path: Path) -> Scores:
    content = files.read_json(path)
    if not isinstance(content, dict):
        raise StageError(f"{path}: expected scores by name. Run the evaluate stage again")
    return Scores(**{name: _figure(path, content, name) for name in Scores.__annotations__})


def _figure(path: Path, content: dict[str, Any], name: str) -> float:
    value = content.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        raise StageError(f"{path}: {name} must be a finite number; got {value!r}")
    return float(value)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise StageError(f"{path} is missing: the ensemble stage writes it") from None


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


if __name__ == "__main__":
    run(main)
