"""Report: what the run came to, as pages that open from disk and load nothing from elsewhere.

``reports/index.html`` says the verdict first and leads to every other page and figure.
"""

from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from pydantic import Field

from tasks.core import metrics, plots, report_evidently, report_tables, report_words
from tasks.core.plots import Estimate, History
from tasks.core.report_evidently import Answers, Distances, Drift, View
from tasks.core.report_images import data_uri
from tasks.io import dataset, files, models, pages, params, predictions, sealed, timing
from tasks.io.models import Model
from tasks.io.params import Section
from tasks.io.predictions import Predictions
from tasks.io.stage import StageError, run

FOLDER = Path("reports")
PLOTS = FOLDER / "plots"
EVALUATED = FOLDER / "evaluate"
FILES = {
    "models/decision.json": "the gate's decision: every rule, the champion, the challenger",
    "models/registration.json": "the registered version and where it comes from",
    "reports/evaluate/metrics.json": "scores of the ensemble, accuracy of every model",
    "reports/evaluate/leaderboard.json": "one line a model",
    "reports/evaluate/models.json": "every score of every model, by class too",
    "reports/evaluate/confusion.csv": "true and predicted digit of every test image",
    "reports/evaluate/reliability.csv": "confidence and accuracy by bin",
    "reports/validate/report.json": "every expectation on the data and what was found",
}
"""The raw results that the index leads to."""


class DriftLimits(Section):
    """How the test images are compared with held-out training images."""

    numbers: Literal["wasserstein", "jensenshannon", "kl_div", "hellinger"] = Field(
        description="distance between two samples of a number"
    )
    classes: Literal["jensenshannon", "kl_div", "hellinger", "TVD"] = Field(
        description="distance between two samples of a class"
    )
    threshold: float = Field(gt=0, lt=10, description="distance from which a column has drifted")
    share: float = Field(gt=0, le=1, description="drifted columns from which the data have")


class Report(Section):
    """What the pages show and how much of it."""

    sample: int = Field(ge=100, le=10_000, description="images a side in Evidently's pages")
    drift: DriftLimits
    samples_per_class: int = Field(ge=1, le=50, description="images a digit in the samples")
    misclassified: int = Field(ge=1, le=10_000, description="wrong answers shown at most")


class Run(NamedTuple):
    """What the stages before left."""

    digits: dataset.Digits
    labels: np.ndarray
    ensemble: Predictions
    member: Predictions
    embeddings: dict[str, np.ndarray]
    results: dict[str, Any]
    confusion: np.ndarray
    reliability: dict[str, np.ndarray]
    histories: dict[str, dict[str, dict[str, np.ndarray]]]
    seconds: dict[str, float | None]


class Picture(NamedTuple):
    """A figure of the report; ``text`` says in words what it shows."""

    file: str
    title: str
    text: str


def main() -> None:
    """Write the figures, then the pages, the index last."""
    section, seed = params.section(Report, "report"), params.seed()
    found = read()
    pictures = draw(found, section)
    rows = sample(found, section.sample, np.random.default_rng(seed))
    drift = compare(found, rows, section.drift)
    wrong = mistakes(found, section.misclassified)
    pages.write("figures.html", FOLDER / "figures.html", pictures=pictures, **wrong)
    pages.write("index.html", FOLDER / "index.html", **summary(found, pictures, drift))
    print(f"{len(pictures)} figures, {len(drift.distances)} columns compared, {len(drift.drifted)} drifted")
    print(f"{FOLDER / 'index.html'}: {report_words.size((FOLDER / 'index.html').stat().st_size)}")


def read() -> Run:
    """Return what the report is made of.

    Raises
    ------
    StageError
        Naming the first file that is missing or is not what its stage writes.
    """
    first = models.members()[0]
    return Run(
        digits=dataset.load(),
        labels=sealed.test_labels(),
        ensemble=predictions.load(models.ENSEMBLE),
        member=predictions.load(first.folder),
        embeddings=_arrays(models.ENSEMBLE / "embeddings.npz"),
        results={Path(name).stem: files.read_json(Path(name)) for name in FILES if "json" in name},
        confusion=_confusion(EVALUATED / "confusion.csv"),
        reliability=report_tables.columns(_text(EVALUATED / "reliability.csv")),
        histories=_histories(),
        seconds={model.name: _seconds(model) for model in models.every()},
    )


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:
        raise StageError(f"{path} is missing: an earlier stage writes it; run `dvc repro`") from None


def _arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return dict(archive)
    except FileNotFoundError:
        raise StageError(f"{path} is missing: an earlier stage writes it; run `dvc repro`") from None
    except (ValueError, OSError) as error:
        raise StageError(f"{path}: expected arrays; {error}. Run `dvc repro` again") from None


def _confusion(path: Path) -> np.ndarray:
    pairs = report_tables.columns(_text(path))
    actual, predicted = (pairs[name].astype(int) for name in ("actual", "predicted"))
    return metrics.confusion_matrix(actual, predicted, int(max(actual.max(), predicted.max())) + 1)


def _histories() -> dict[str, dict[str, dict[str, np.ndarray]]]:
    """Return the courses by group: the members together, every other network for itself."""
    members = {m.name: report_tables.columns(_text(m.folder / "history.csv")) for m in models.members()}
    # Only networks have epochs, so of the baselines some have a history and others none.
    others = [m for m in models.baselines() if (m.folder / "history.csv").exists()]
    alone = {m.name: {m.name: report_tables.columns(_text(m.folder / "history.csv"))} for m in others}
    return {"members": members, **alone}


def _seconds(model: Model) -> float | None:
    path = timing.path(model.folder)
    return files.read_json(path)["seconds"] if path.exists() else None


def draw(found: Run, section: Report) -> list[Picture]:
    """Write ``reports/plots`` and return what is there."""
    return [
        _samples(found, section.samples_per_class),
        *_courses(found.histories),
        _error_rates(found.results["leaderboard"]),
        _confused(found.confusion),
        _reliable(found),
    ]


def _picture(name: str, title: str, text: str, drawing: str) -> Picture:
    files.write_bytes(PLOTS / name, drawing.encode())
    return Picture(f"plots/{name}", title, text)


def _samples(found: Run, per_class: int) -> Picture:
    drawing = plots.samples(found.digits.train_images, found.digits.train_labels, per_class)
    text = f"A grid of handwritten digits: the first {per_class} training images of every label."
    return _picture("samples.svg", "Samples", text, drawing)


def _courses(histories: dict[str, dict[str, dict[str, np.ndarray]]]) -> list[Picture]:
    found = []
    for group, courses in histories.items():
        who = f"the {len(courses)} members" if group == "members" else group
        for quantity, unit, factor in (("loss", "loss (nats)", 1), ("accuracy", "accuracy (%)", 100)):
            drawn = {name: _history(course, quantity, factor) for name, course in courses.items()}
            text = f"{_last(drawn, unit)} By epoch, on training and on held-out images."
            drawing = plots.curves(drawn, unit)
            name = f"{quantity}-{group}.svg"
            found.append(_picture(name, f"{quantity.capitalize()} of {who}", text, drawing))
    return found


def _history(course: dict[str, np.ndarray], quantity: str, factor: float) -> History:
    seen, unseen = course[quantity], course[f"validation_{quantity}"]
    return History(course["epoch"], factor * seen, factor * unseen)


def _last(drawn: dict[str, History], unit: str) -> str:
    seen, unseen = (np.mean([h[i][-1] for h in drawn.values()]) for i in (1, 2))
    return f"In the last epoch {unit}: {seen:.4g} training, {unseen:.4g} held out."


def _error_rates(board: list[dict[str, Any]]) -> Picture:
    rates = [
        Estimate(r["model"], 1 - r["test_accuracy"], 1 - r["high"], 1 - r["low"], r["winner"])
        for r in board
    ]
    best, worst = board[0], board[-1]
    text = (
        f"Error rate of {len(board)} models on the test images, with intervals: from "
        f"{report_words.percent(1 - best['test_accuracy'])} ({best['model']}) to "
        f"{report_words.percent(1 - worst['test_accuracy'])} ({worst['model']})."
    )
    return _picture("errors.svg", "Error rates of all models", text, plots.errors(rates))


def _confused(matrix: np.ndarray) -> Picture:
    errors = matrix * ~np.eye(len(matrix), dtype=bool)
    actual, predicted = np.unravel_index(errors.argmax(), errors.shape)
    text = (
        f"{matrix.sum() - errors.sum()} of {matrix.sum()} test images are right. The most "
        f"frequent error: {errors.max()} times a {actual} is taken for a {predicted}."
    )
    title = "Confusion matrix of the ensemble"
    return _picture("confusion.svg", title, text, plots.confusion(matrix))


def _reliable(found: Run) -> Picture:
    table, level = found.reliability, found.results["leaderboard"][0]["level"]
    correct = np.rint(table["accuracy"] * table["count"]).astype(int)
    rates = [
        Estimate("", hits / total, *metrics.wilson_interval(hits, total, level), strong=False)
        for hits, total in zip(correct.tolist(), table["count"].astype(int).tolist(), strict=True)
    ]
    error = found.results["metrics"]["ensemble"]["expected_calibration_error"]
    text = (
        f"Right answers against confidence in {len(rates)} bins of equal size: on average they "
        f"are {report_words.percent(error)} apart."
    )
    drawing = plots.reliability(table["confidence"], rates)
    return _picture("reliability.svg", "Reliability of the ensemble", text, drawing)


class Rows(NamedTuple):
    """Positions of the images that Evidently compares: in the test set, and in the held-out."""

    test: np.ndarray
    held_out: np.ndarray


def sample(found: Run, size: int, rng: np.random.Generator) -> Rows:
    """Draw test images and images held out from the member whose embedding there is."""
    pools = (len(found.labels), len(found.embeddings["validation_rows"]))
    return Rows(*(np.sort(rng.permutation(pool)[:size]) for pool in pools))


def compare(found: Run, rows: Rows, limits: DriftLimits) -> Drift:
    """Write Evidently's pages, ``performance.html`` and ``drift.html``."""
    held_out = found.embeddings["validation_rows"][rows.held_out]
    current = Answers(found.labels[rows.test], found.ensemble.test[rows.test])
    place = np.searchsorted(found.ensemble.validation_rows, held_out)
    reference = Answers(found.digits.train_labels[held_out], found.ensemble.validation[place])
    _evidently("performance", report_evidently.performance(current, reference), rows)
    # One member's embedding and probabilities on both sides: of a training image the whole
    # ensemble has seen most, so its confidence there is not comparable with the test's.
    drift = report_evidently.drift(
        View(
            found.digits.test_images[rows.test],
            found.embeddings["test"][rows.test],
            found.member.test[rows.test],
        ),
        View(
            found.digits.train_images[held_out],
            found.embeddings["validation"][rows.held_out],
            found.member.validation[rows.held_out],
        ),
        Distances(**limits.model_dump()),
    )
    _evidently("drift", drift.page, rows)
    return drift


def _evidently(name: str, page: str, rows: Rows) -> None:
    banner = pages.render("evidently.html", name=name, test=len(rows.test), held_out=len(rows.held_out))
    title = f"Digitline: {name}"
    files.write_bytes(FOLDER / f"{name}.html", report_evidently.framed(page, title, banner).encode())


def mistakes(found: Run, limit: int) -> dict[str, Any]:
    """Return the ensemble's wrong answers, the most confident first."""
    probabilities = found.ensemble.test
    predicted, confidence = probabilities.argmax(1), probabilities.max(1)
    wrong = np.flatnonzero(predicted != found.labels)
    ordered = wrong[np.argsort(-confidence[wrong], kind="stable")]
    shown = [
        {
            "row": int(row),
            "label": int(found.labels[row]),
            "predicted": int(predicted[row]),
            "confidence": float(confidence[row]),
            "of_label": float(probabilities[row, found.labels[row]]),
            "image": data_uri(found.digits.test_images[row]),
        }
        for row in ordered[:limit]
    ]
    return {"mistakes": shown, "wrong": len(wrong), "images": len(found.labels)}


def summary(found: Run, pictures: list[Picture], drift: Drift) -> dict[str, Any]:
    """Return what the index says."""
    results = found.results
    scores, decision = results["metrics"]["ensemble"], results["decision"]
    summaries = results["models"]
    return {
        "verdict": report_words.verdict(decision, results["registration"]),
        "checks": report_words.checks(decision["rules"]),
        "change": report_words.change(scores["accuracy"], decision["champion"]),
        "champion": decision["champion"],
        "registration": results["registration"],
        "scores": scores,
        "members_mean": results["metrics"]["members_mean_accuracy"],
        "board": [
            {
                **row,
                "errors": summaries[row["model"]]["errors"],
                "verdict": row["fit"].partition(":")[0],
                "seconds": found.seconds[row["model"]],
            }
            for row in results["leaderboard"]
        ],
        "level": results["leaderboard"][0]["level"],
        "images": len(found.labels),
        "rows": results["report"]["rows"],
        "expectations": report_words.expectations(results["report"]),
        "drift": drift,
        "pictures": pictures,
        "files": {Path("..", name).as_posix(): text for name, text in FILES.items()},
        "strip": data_uri(_strip(found.digits)),
    }


def _strip(digits: dataset.Digits) -> np.ndarray:
    """Return one image of each digit, side by side."""
    _, first = np.unique(digits.train_labels, return_index=True)
    return plots.montage([digits.train_images[first]], len(first))


if __name__ == "__main__":
    run(main)
