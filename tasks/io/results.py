"""What a run left on disk, read for the report."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tasks.core import report_tables
from tasks.io import about, dataset, files, models, predictions, sealed, timing
from tasks.io.models import Model
from tasks.io.predictions import Predictions
from tasks.io.stage import StageError

Table = dict[str, np.ndarray]
"""Columns by name, ``(rows,)`` each."""


class Results(NamedTuple):
    """The JSON files of the stages that judge, as they wrote them."""

    leaderboard: list[dict[str, Any]]
    models: dict[str, Any]
    validation: dict[str, Any]
    labels: dict[str, Any]
    decision: dict[str, Any]
    registration: dict[str, Any]
    abstention: dict[str, Any]


class Run(NamedTuple):
    """Everything that the report is made of.

    ``labels`` are those of the test images; ``answers`` has labels, too. ``coverage`` holds
    points of risk by coverage. ``member`` and ``embeddings`` are the first member's.
    ``histories`` holds each network's epochs: the members together under "members", every
    other under its own name. ``seconds`` is None where no time was taken.
    """

    about: about.About
    digits: dataset.Digits
    labels: np.ndarray
    ensemble: Predictions
    member: Predictions
    embeddings: Table
    results: Results
    answers: Table
    reliability: Table
    coverage: dict[str, Table]
    histories: dict[str, dict[str, Table]]
    seconds: dict[str, float | None]


PATHS = {
    "leaderboard": Path("reports/evaluate/leaderboard.json"),
    "models": Path("reports/evaluate/models.json"),
    "validation": Path("reports/validate/report.json"),
    "labels": Path("reports/label_audit/summary.json"),
    "decision": Path("models/decision.json"),
    "registration": Path("models/registration.json"),
    "abstention": Path("reports/evaluate/abstention.json"),
}
"""Where each field of `Results` comes from."""
ANSWERS = Path("reports/evaluate/confusion/ensemble.csv")
ALL_ANSWERS = Path("reports/evaluate/answers.csv")
RELIABILITY = Path("reports/evaluate/reliability/ensemble.csv")
CURVES = {
    "test images": Path("reports/evaluate/coverage/test.csv"),
    "held-out images": Path("reports/evaluate/coverage/held_out.csv"),
}
_EMBEDDINGS = models.ENSEMBLE / "embeddings.npz"


def read() -> Run:
    """Return what the stages before left.

    Raises
    ------
    StageError
        Naming the first file that is missing or is not what its stage writes.
    """
    digits = dataset.load()
    return Run(
        about=about.read(),
        digits=digits,
        labels=sealed.labels(),
        ensemble=predictions.load(models.ENSEMBLE),
        member=predictions.load(models.members()[0].folder),
        embeddings=_arrays(_EMBEDDINGS),
        results=Results(**{name: files.read_json(path) for name, path in PATHS.items()}),
        answers=_labels(ANSWERS, digits.classes),
        reliability=_table(RELIABILITY),
        coverage={name: _table(path) for name, path in CURVES.items()},
        histories=_histories(),
        seconds={model.name: _seconds(model) for model in models.every()},
    )


def _histories() -> dict[str, dict[str, Table]]:
    members = {model.name: _table(_history(model)) for model in models.members()}
    # Only networks have epochs: of the baselines some have a history and others none.
    networks = [model for model in models.baselines() if _history(model).exists()]
    alone = {model.name: {model.name: _table(_history(model))} for model in networks}
    return {"members": members, **alone}


def _history(model: Model) -> Path:
    return model.folder / "history.csv"


def _seconds(model: Model) -> float | None:
    path = timing.path(model.folder)
    return float(files.read_json(path)["seconds"]) if path.exists() else None


def _table(path: Path) -> Table:
    return _parsed(path, report_tables.numbers, "numbers")


def _labels(path: Path, classes: Sequence[str]) -> Table:
    """Return columns of class names as labels: the places of the names."""
    return _parsed(path, lambda text: report_tables.places(text, classes), "classes")


def _parsed(path: Path, parse: Callable[[str], Table], what: str) -> Table:
    try:
        return parse(path.read_text())
    except FileNotFoundError:
        raise StageError(_absent(path)) from None
    except ValueError as error:
        raise StageError(f"{path}: expected columns of {what}; {error}. {_AGAIN}") from None


def _arrays(path: Path) -> Table:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return dict(archive)
    except FileNotFoundError:
        raise StageError(_absent(path)) from None
    except (ValueError, OSError) as error:
        raise StageError(f"{path}: expected arrays; {error}. {_AGAIN}") from None


_AGAIN = "Run `dvc repro` again"


def _absent(path: Path) -> str:
    return f"{path} is missing: an earlier stage writes it; run `dvc repro`"
