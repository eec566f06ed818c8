"""Score every model. The first stage that opens the test labels: nothing is chosen here."""

import csv
import hashlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from pydantic import Field

from tasks.core import abstention, comparison, disputed, metrics
from tasks.io import about, dataset, files, models, params, predictions, sealed
from tasks.io.models import Model
from tasks.io.params import Section
from tasks.io.stage import run

FOLDER = Path("reports/evaluate")
_POINTS = 400  # of the curve of risk by coverage


class Evaluate(Section):
    """How scores are summed up."""

    bins: int = Field(ge=2, le=1000, description="of equal size, for the calibration error")
    level: float = Field(gt=0.5, lt=1, description="of the confidence intervals")
    overfit_gap: float = Field(gt=0, lt=1, description="training minus held-out accuracy")
    underfit_below: float = Field(gt=0, lt=1, description="training accuracy")


class Part(NamedTuple):
    """Labels and probabilities of one part of the data."""

    labels: np.ndarray
    probabilities: np.ndarray


class Scored(NamedTuple):
    """One model's predictions beside the labels of each part."""

    model: Model
    train: Part
    validation: Part
    test: Part


def main() -> None:
    """Score all models of the run and write the evaluation's folder."""
    section = params.section(Evaluate, "evaluate")
    digits, test_labels = dataset.load(), sealed.labels()
    scored = [_scored(model, digits.train_labels, test_labels) for model in models.every()]
    summaries = {entry.model.name: _summary(entry, section, digits.classes) for entry in scored}
    winner = _winner(summaries)
    board = _leaderboard(scored, summaries, winner, section)
    files.write_json(FOLDER / "models.json", summaries)
    files.write_json(FOLDER / "leaderboard.json", board)
    for entry in scored:
        _write_model(entry, summaries[entry.model.name], section.bins)
    _write_abstention(scored[0], digits.classes)
    print(f"{len(board)} models scored; by held-out images the best is {winner}")


def _scored(model: Model, train_labels: np.ndarray, test_labels: np.ndarray) -> Scored:
    found = predictions.load(model.folder)
    return Scored(
        model,
        Part(train_labels[found.train_rows], found.train),
        Part(train_labels[found.validation_rows], found.validation),
        Part(test_labels, found.test),
    )


def _summary(entry: Scored, section: Evaluate, classes: Sequence[str]) -> dict[str, Any]:
    """Return every score of one model, as plain numbers."""
    labels, probabilities = entry.test
    confusion = metrics.confusion_matrix(labels, probabilities.argmax(1), len(classes))
    rates = metrics.per_class(confusion)
    train, validation, test = (
        metrics.accuracy(*part) for part in (entry.train, entry.validation, entry.test)
    )
    correct = int(np.trace(confusion))
    low, high = metrics.wilson_interval(correct, len(labels), section.level)
    return {
        "kind": entry.model.kind,
        "train_accuracy": train,
        "validation_accuracy": validation,
        "validation_images": len(entry.validation.labels),
        "accuracy": test,
        "accuracy_low": low,
        "accuracy_high": high,
        "errors": len(labels) - correct,
        "macro_precision": float(rates.precision.mean()),
        "macro_recall": float(rates.recall.mean()),
        "macro_f1": float(rates.f1.mean()),
        "worst_class_recall": float(rates.recall.min()),
        "log_loss": metrics.log_loss(labels, probabilities),
        "brier": metrics.brier_score(labels, probabilities),
        "expected_calibration_error": metrics.expected_calibration_error(
            metrics.reliability(labels, probabilities, section.bins)
        ),
        "fit": metrics.fit_verdict(
            train,
            validation,
            test,
            overfit_gap=section.overfit_gap,
            underfit_below=section.underfit_below,
        ),
        "classes": list(classes),
        "per_class": {
            field: [float(value) for value in values] for field, values in rates._asdict().items()
        },
        "confusion": confusion.tolist(),
        "intervals": _intervals(entry.test, section.level) if _is_ensemble(entry) else {},
    }


def _is_ensemble(entry: Scored) -> bool:
    return entry.model.kind == "ensemble"


def _intervals(test: Part, level: float) -> dict[str, tuple[float, float]]:
    """Return low and high ends for the scores that are means over images."""
    each = range(len(test.labels))
    scores = {"log_loss": metrics.log_loss, "brier": metrics.brier_score}
    found = {}
    for name, score in scores.items():
        values = np.array([score(test.labels[[i]], test.probabilities[[i]]) for i in each])
        rng = np.random.default_rng(0)
        interval = comparison.bootstrap_by_image(values, level=level, resamples=1000, rng=rng)
        found[name] = (interval.low, interval.high)
    return found


def _winner(summaries: dict[str, dict[str, Any]]) -> str:
    """Return the best by held-out training images; the test set chooses nothing.

    Members are parts of the ensemble, which was scored on the same images as all of them
    together, and do not stand for themselves.
    """
    candidates = {name: s for name, s in summaries.items() if s["kind"] != "member"}
    return max(candidates, key=lambda name: candidates[name]["validation_accuracy"])


def _leaderboard(
    scored: list[Scored], summaries: dict[str, dict[str, Any]], winner: str, section: Evaluate
) -> list[dict[str, Any]]:
    """Return one line a model, the highest test accuracy first."""
    kept = ("train_accuracy", "validation_accuracy", "macro_f1", "log_loss", "fit")
    rows = []
    for entry in scored:
        summary = summaries[entry.model.name]
        rows.append(
            {
                "model": entry.model.name,
                "kind": entry.model.kind,
                "winner": entry.model.name == winner,
                "test_accuracy": summary["accuracy"],
                "low": summary["accuracy_low"],
                "high": summary["accuracy_high"],
                "level": section.level,
                **{key: summary[key] for key in kept},
            }
        )
    return sorted(rows, key=lambda row: (-row["test_accuracy"], row["log_loss"], row["model"]))


def _write_model(entry: Scored, summary: dict[str, Any], bins: int) -> None:
    """Write what ``dvc metrics`` and ``dvc plots`` show of one model."""
    name = entry.model.name
    numbers = {key: value for key, value in summary.items() if isinstance(value, int | float)}
    files.write_json(FOLDER / f"metrics/{name}.json", numbers)
    classes = summary["classes"]
    _write_csv(f"confusion/{name}.csv", ("actual", "predicted"), _pairs(entry.test, classes))
    table = metrics.reliability(*entry.test, bins)
    _write_csv(f"reliability/{name}.csv", table._fields, list(zip(*table, strict=True)))
    rates = summary["per_class"]
    rows = list(zip(classes, *rates.values(), strict=True))
    _write_csv(f"classes/{name}.csv", ("class", *rates), rows)


def _pairs(part: Part, classes: Sequence[str]) -> list[tuple[str, str]]:
    predicted = part.probabilities.argmax(1)
    pairs = zip(part.labels, predicted, strict=True)
    return [(classes[actual], classes[said]) for actual, said in pairs]


def _write_abstention(ensemble: Scored, classes: Sequence[str]) -> None:
    """Write what the ensemble answers and what it leaves to a person, by the chosen threshold."""
    chosen, test = files.read_json(models.ENSEMBLE / "abstention.json"), ensemble.test
    given = abstention.answered(test.probabilities, chosen["threshold"])
    wrong = test.probabilities.argmax(1) != test.labels
    doubtful = disputed.rows(test.labels, about.read().is_mnist)
    said = {
        **abstention.outcome(*test, chosen["threshold"]).as_dict(),
        "disputed_errors": int((given & wrong & doubtful).sum()),
        "errors_to_a_person": int((~given & wrong).sum()),
        "disputed": int(doubtful.sum()),
        "disputed_to_a_person": int((~given & doubtful).sum()),
    }
    files.write_json(FOLDER / "abstention.json", {"chosen": chosen, "test": said})
    _write_csv("answers.csv", _ANSWER, _answers(test, given, classes))
    for name, part in (("test", test), ("held_out", ensemble.validation)):
        points = abstention.thin(abstention.curve(*part), _POINTS)
        _write_csv(f"coverage/{name}.csv", points._fields, np.stack(points, axis=1).tolist())


_ANSWER = ("id", "row", "actual", "predicted", "confidence", "status")


def _answers(test: Part, given: np.ndarray, classes: Sequence[str]) -> list[tuple[Any, ...]]:
    """Return a line for each test image; its id leads from the answer back to the artifact."""
    artifact = hashlib.sha256((models.ENSEMBLE / "model.onnx").read_bytes()).hexdigest()[:12]
    actual, predicted = zip(*_pairs(test, classes), strict=True)
    words = np.where(given, abstention.ANSWERED, abstention.TO_A_PERSON)
    columns = (actual, predicted, test.probabilities.max(1).tolist(), words.tolist())
    return [
        (f"{artifact}-{row}", row, *values) for row, values in enumerate(zip(*columns, strict=True))
    ]


def _write_csv(name: str, header: tuple[str, ...], rows: list[Any]) -> None:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(header)
    table.writerows(rows)
    files.write_bytes(FOLDER / name, text.getvalue().encode())


if __name__ == "__main__":
    run(main)
