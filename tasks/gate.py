"""Gate: judge the ensemble by its figures and beside the current champion.

Promote or refuse, with every rule's value and threshold, in ``models/decision.json``. The
champion is scored anew, on the same images in the same process; what it scored once counts
for nothing.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from pydantic import Field

from tasks.core import comparison
from tasks.core.corruptions import CORRUPTIONS
from tasks.core.decision import Champion, Scores, Thresholds, decide
from tasks.io import (
    commits,
    dataset,
    exam,
    files,
    fitness,
    git,
    known_batch,
    params,
    registry,
    sealed,
)
from tasks.io.exam import Answers, Exam, ModelError
from tasks.io.known_batch import KnownBatch
from tasks.io.params import Section
from tasks.io.registry import Version
from tasks.io.stage import StageError, run

MODEL = Path("models/ensemble/model.onnx")
METRICS = Path("reports/evaluate/metrics/ensemble.json")
REVIEWS = Path("data/preprocess/reviews.json")
OUT = Path("models/decision.json")


class Gate(Section):
    """Floors for the challenger, and how it has to stand beside the champion."""

    min_accuracy: float = Field(ge=0, le=1, description="fraction of test images")
    min_class_recall: float = Field(ge=0, le=1, description="recall of the worst class")
    max_calibration_error: float = Field(ge=0, le=1, description="expected calibration error")
    max_log_loss: float = Field(ge=0, description="nats")
    max_export_gap: float = Field(
        ge=0, le=1, description="accuracy between the artifact and what `evaluate` scored"
    )
    max_answer_gap: float = Field(
        ge=0, le=1, description="probability between recorded answers and a fresh process"
    )
    max_megabytes: float = Field(gt=0, description="size of the artifact, in 10^6 bytes")
    max_milliseconds: float = Field(gt=0, description="median of one image's answer on one core")
    margin: float = Field(
        ge=0, le=1, description="accuracy that the interval's lower end may lack to the champion"
    )
    corruption_margin: float = Field(ge=0, le=1, description="the same on corrupted images")
    corrupted_images: int = Field(ge=10, description="test images that are corrupted")
    level: float = Field(gt=0.5, lt=1, description="of the intervals; one minus it: of the test")
    resamples: int = Field(ge=1000, le=1_000_000, description="of the bootstrap")

    def thresholds(self) -> Thresholds:
        """Return what a decision is made by."""
        return Thresholds(**{name: getattr(self, name) for name in Thresholds.__annotations__})


class Candidate(NamedTuple):
    """A model that asks to be champion: its bytes, its figures, its recorded answers.

    ``reviews`` sums up the reviews of labels that it was trained with; None if not recorded.
    """

    model: bytes
    scores: Scores
    batch: KnownBatch
    reviews: dict[str, Any] | None


class Rival(NamedTuple):
    """The current champion and what it answers; ``fault`` says why where it answers nothing.

    ``others``: it tells other classes apart than those of today's images.
    """

    version: Version
    answers: Answers | None
    fault: str = ""
    identical: bool = False
    others: bool = False


def main() -> None:
    """Write the decision and print it."""
    content = judge(Path(), candidate(Path()))
    files.write_json(OUT, content)
    for rule in content["rules"]:
        mark = "passed" if rule["passed"] else "failed"
        print(f"{mark}  {rule['rule']} {rule['threshold']:g}: {rule['value']:.4f}")
    print(f"{content['decision']}: {'; '.join(content['reasons'])}")


def judge(root: Path, challenger: Candidate) -> dict[str, Any]:
    """Return the content of decision.json for ``challenger``, by the rules below ``root``.

    Raises
    ------
    StageError
        If the challenger, its figures or the test images are missing or damaged. A faulty
        champion is no error: the decision tells it.
    """
    file = root / params.FILE
    gate, place = (
        params.section(Gate, "gate", file),
        params.section(registry.Place, "register", file),
    )
    seed = params.seed(file)
    sat = exam.load(root, gate.corrupted_images, seed)
    try:
        answers = sat.answer(challenger.model)
        fit = fitness.check(challenger.model, challenger.batch)
    except (ModelError, fitness.UnfitError) as error:
        raise StageError(f"{MODEL}: {error}. Run the ensemble stage again") from None
    rival = _rival(
        root, registry.champion(root, place.artifact, place.stage), sat, challenger, answers
    )
    champion = _beside(answers, rival, gate, seed) if rival else None
    accuracy = float(answers.plain.mean())
    return {
        **decide(challenger.scores, accuracy, fit, champion, gate.thresholds()).as_dict(),
        "images": len(sat.labels),
        "level": gate.level,
        "champion": _standing(root, rival) if rival else None,
        "comparison": champion.comparison._asdict() if champion and champion.comparison else None,
        "robustness": _robustness(answers, rival, champion),
        "fitness": fit._asdict(),
        "challenger": _description(challenger, accuracy),
    }


def candidate(root: Path) -> Candidate:
    """Return the model that the stages before left below ``root``."""
    scores = _scores(files.read_json(root / METRICS), METRICS.as_posix())
    batch, reviews = known_batch.load(root / known_batch.FILE), files.read_json(root / REVIEWS)
    return Candidate(_bytes(root / MODEL), scores, batch, reviews)


def judge_version(root: Path, version: Version) -> dict[str, Any]:
    """Judge a registered version anew, beside today's champion, by today's rules.

    Raises
    ------
    StageError
        As `judge`; in a clone that has no test images yet, with the way to them.
    """
    needed = (exam.IMAGES, dataset.CLASSES, sealed.TEST_LABELS)
    if not all((root / path).exists() for path in needed):
        names = " ".join(path.as_posix() for path in needed)
        raise StageError(
            f"expected the test images here, to judge {version.version} on them; bring them with "
            f"`dvc pull {names}`, or make them with `make run`"
        )
    if others := _other_classes(root, version, dataset.classes(root)):
        raise StageError(f"{version} cannot be judged on today's test images: {others}")
    figures, recorded = (
        (git.content(root, version.commit, path.as_posix()), f"{version}:{path}")
        for path in (METRICS, known_batch.FILE)
    )
    scores, batch = _scores(json.loads(figures[0]), figures[1]), known_batch.parse(*recorded)
    reviews = _recorded_reviews(root, version)
    return judge(root, Candidate(registry.fetch(root, version), scores, batch, reviews))


def _recorded_reviews(root: Path, version: Version) -> dict[str, Any] | None:
    try:
        return dict(json.loads(git.content(root, version.commit, REVIEWS.as_posix())))
    except git.GitError:  # a version from before there were reviews
        return None


def _rival(
    root: Path, version: Version | None, sat: Exam, challenger: Candidate, answers: Answers
) -> Rival | None:
    if version is None:
        return None
    if others := _other_classes(root, version, sat.classes):
        return Rival(version, None, fault=others, others=True)
    try:
        model = registry.fetch(root, version)
        if model == challenger.model:
            return Rival(version, answers, identical=True)
        return Rival(version, sat.answer(model))
    except (registry.RegistryError, ModelError) as error:
        return Rival(version, None, fault=str(error))


def _other_classes(root: Path, version: Version, classes: Sequence[str]) -> str:
    """Say which other classes ``version`` tells apart; "" if it is these."""
    theirs = commits.classes(root, version.commit)
    if theirs == tuple(classes):
        return ""
    return f"it tells {', '.join(theirs)} apart, today's classes are {', '.join(classes)}"


def _beside(answers: Answers, rival: Rival, gate: Gate, seed: int) -> Champion:
    """Set the challenger's answers beside the champion's on the same images."""
    name = rival.version.version
    if rival.answers is None:
        return Champion(name, fault=rival.fault, others=rival.others)
    rng = np.random.default_rng(seed)
    ways: dict[str, Any] = {"level": gate.level, "resamples": gate.resamples, "rng": rng}
    more = answers.corrupted.astype(float) - rival.answers.corrupted
    return Champion(
        name,
        comparison.compare(answers.plain, rival.answers.plain, **ways),
        comparison.bootstrap_by_image(more.mean(axis=(0, 1)), **ways),
        identical=rival.identical,
    )


def _standing(root: Path, rival: Rival) -> dict[str, Any]:
    return {
        "version": rival.version.version,
        "commit": rival.version.commit,
        "md5": rival.version.md5,
        "accuracy": float(rival.answers.plain.mean()) if rival.answers else None,
        "fault": rival.fault or None,
        "identical": rival.identical,
        "reviews": _recorded_reviews(root, rival.version),
    }


def _robustness(answers: Answers, rival: Rival | None, champion: Champion | None) -> dict[str, Any]:
    """Return the accuracy by kind and severity of corruption, and the interval of all."""
    theirs = rival.answers.corrupted if rival and rival.answers else None
    return {
        "images": answers.corrupted.shape[2],
        "accuracy": float(answers.corrupted.mean()),
        "champion": None if theirs is None else float(theirs.mean()),
        "interval": champion.corrupted._asdict() if champion and champion.corrupted else None,
        "kinds": {
            kind: {
                "severities": list(corruption.severities),
                "unit": corruption.unit,
                "accuracy": _by_severity(answers.corrupted[place]),
                "champion": None if theirs is None else _by_severity(theirs[place]),
            }
            for place, (kind, corruption) in enumerate(CORRUPTIONS.items())
        },
    }


def _by_severity(right: np.ndarray) -> list[float]:
    return [float(value) for value in right.mean(axis=1)]


def _description(challenger: Candidate, accuracy: float) -> dict[str, Any]:
    model = challenger.model
    return {
        "path": MODEL.as_posix(),
        "md5": _md5(model),
        "sha256": hashlib.sha256(model).hexdigest(),
        "bytes": len(model),
        "accuracy": accuracy,
        "reviews": challenger.reviews,
    }


def _scores(content: Any, where: str) -> Scores:
    if not isinstance(content, dict):
        raise StageError(f"{where}: expected scores by name. Run the evaluate stage again")
    return Scores(**{name: _figure(where, content, name) for name in Scores.__annotations__})


def _figure(where: str, content: dict[str, Any], name: str) -> float:
    value = content.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        raise StageError(f"{where}: {name} must be a finite number; got {value!r}")
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
