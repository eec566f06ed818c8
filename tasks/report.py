"""Report: what the run came to, as pages that open from disk and load nothing from elsewhere.

``reports/index.html`` says the verdict first and leads to every other page and figure.
``reports/cards`` holds a model card for every version in the registry. Of git's tags DVC knows
nothing: the stage runs again because each registration changes ``models/registration.json``.
"""

from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from pydantic import Field

from tasks.core import abstention, disputed, report_evidently, report_pictures, report_words
from tasks.core.classes import noun, nouns
from tasks.core.report_evidently import Answers, Distances, Drift, View
from tasks.core.report_images import data_uri
from tasks.core.report_pictures import Picture
from tasks.io import cards, files, pages, params, results
from tasks.io.params import Section
from tasks.io.results import Run
from tasks.io.stage import run

FOLDER = Path("reports")
PLOTS = FOLDER / "plots"
CARDS = FOLDER / "cards"
RAW = {
    results.PATHS["decision"]: "the gate's decision: every rule, the champion, the challenger",
    results.PATHS["registration"]: "the registered version and where it comes from",
    results.PATHS["leaderboard"]: "one line a model",
    results.PATHS["models"]: "every score of every model, by class too",
    results.ANSWERS: "true and predicted class of every test image",
    results.RELIABILITY: "confidence and accuracy by bin",
    results.PATHS["abstention"]: "the threshold for answers, and what it comes to",
    results.ALL_ANSWERS: "every test image: the answer, its confidence, answered or to a person",
    results.PATHS["validation"]: "every expectation on the data and what was found",
    results.PATHS["labels"]: "how many training labels are suspect, and the reviews applied",
}
"""The files that the index leads to, and what each one holds."""


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

    sample: int = Field(ge=50, le=10_000, description="images a side in Evidently's pages")
    drift: DriftLimits
    samples_per_class: int = Field(ge=1, le=50, description="images a class in the samples")
    misclassified: int = Field(ge=1, le=10_000, description="wrong answers shown at most")


class Rows(NamedTuple):
    """The images that Evidently compares.

    Positions in the test set, and in the images held out from the first member.
    """

    test: np.ndarray
    held_out: np.ndarray


def main() -> None:
    """Write the figures, then the pages, the index last."""
    section, seed = params.section(Report, "report"), params.seed()
    found = results.read()
    pictures = draw(found, section, seed)
    rows = sample(found, section.sample, np.random.default_rng(seed))
    drift = compare(found, rows, section.drift)
    wrong = mistakes(found, section.misclassified)
    pages.write("figures.html", FOLDER / "figures.html", pictures=pictures, **wrong)
    carded = cards.write(Path(), found.results.registration["artifact"], CARDS)
    pages.write("index.html", FOLDER / "index.html", **summary(found, pictures, drift, carded))
    cards_written = f"model cards: {len(carded)}"
    columns = f"{len(drift.drifted)} of {len(drift.distances)} columns drifted"
    print(f"{len(pictures)} figures, {cards_written}, {columns}, {FOLDER / 'index.html'} written")


def draw(found: Run, section: Report, seed: int) -> list[Picture]:
    """Write ``reports/plots`` and return what is there."""
    images, labels, _, _, classes = found.digits
    level = found.results.leaderboard[0]["level"]
    pictures = [
        report_pictures.samples(images, labels, classes, section.samples_per_class),
        report_pictures.errors(found.results.leaderboard),
        report_pictures.confusion(found.answers, classes),
        report_pictures.reliability(found.reliability, level),
        report_pictures.coverage(found.coverage, found.results.abstention),
        report_pictures.corrupted(found.digits.test_images[:4], seed),
        *report_pictures.courses(found.histories),
    ]
    for picture in pictures:
        files.write_bytes(PLOTS / f"{picture.name}.svg", picture.drawing.encode())
    return pictures


def sample(found: Run, size: int, rng: np.random.Generator) -> Rows:
    """Draw at most ``size`` images a side: with more of them more would seem to differ."""
    pools = (len(found.labels), len(found.embeddings["validation_rows"]))
    return Rows(*(np.sort(rng.permutation(pool)[:size]) for pool in pools))


def compare(found: Run, rows: Rows, limits: DriftLimits) -> Drift:
    """Write Evidently's pages, ``performance.html`` and ``drift.html``."""
    held_out = found.embeddings["validation_rows"][rows.held_out]
    place = np.searchsorted(found.ensemble.validation_rows, held_out)
    performance = report_evidently.performance(
        Answers(found.labels[rows.test], found.ensemble.test[rows.test]),
        Answers(found.digits.train_labels[held_out], found.ensemble.validation[place]),
        found.digits.classes,
    )
    _write_evidently("performance", performance, rows)
    # One member's view on both sides: a held-out image is answered by some of the members and
    # a test image by all, whose mean is less confident, and that would look like drift.
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
        found.digits.classes,
        Distances(**limits.model_dump()),
    )
    _write_evidently("drift", drift.page, rows)
    return drift


def _write_evidently(name: str, page: str, rows: Rows) -> None:
    counts = {"test": len(rows.test), "held_out": len(rows.held_out)}
    banner = pages.render("evidently.html", name=name, **counts)
    framed = report_evidently.framed(page, f"Digitline: {name}", banner)
    files.write_bytes(FOLDER / f"{name}.html", framed.encode())


def mistakes(found: Run, limit: int) -> dict[str, Any]:
    """Return the ensemble's wrong answers on the test images, the most confident first."""
    probabilities = found.ensemble.test
    predicted, confidence = probabilities.argmax(1), probabilities.max(1)
    given = abstention.answered(probabilities, found.results.abstention["chosen"]["threshold"])
    doubtful, classes = disputed.rows(found.labels, found.about.is_mnist), found.digits.classes
    wrong = np.flatnonzero(predicted != found.labels)
    ordered = wrong[np.argsort(-confidence[wrong], kind="stable")]
    shown = [
        {
            "row": int(row),
            "label": classes[found.labels[row]],
            "predicted": classes[predicted[row]],
            "confidence": float(confidence[row]),
            "of_label": float(probabilities[row, found.labels[row]]),
            "answered": bool(given[row]),
            "disputed": bool(doubtful[row]),
            "image": data_uri(found.digits.test_images[row]),
        }
        for row in ordered[:limit]
    ]
    counts = {"wrong": len(wrong), "images": len(found.labels), "is_mnist": found.about.is_mnist}
    return {"mistakes": shown, **counts}


def summary(found: Run, pictures: list[Picture], drift: Drift, carded: set[str]) -> dict[str, Any]:
    """Return what the index says; ``carded`` are the versions that have a card."""
    said = found.results
    scores, classes = said.models["ensemble"], found.digits.classes
    members = [row["test_accuracy"] for row in said.leaderboard if row["kind"] == "member"]
    return {
        "verdict": report_words.verdict(said.decision, said.registration),
        "checks": report_words.checks(said.decision["rules"]),
        "robustness": report_words.robustness(said.decision["robustness"]),
        "robustness_images": said.decision["robustness"]["images"],
        "abstention": said.abstention,
        "effect_of_reviews": report_words.effect_of_reviews(said.decision),
        "change": report_words.change(scores["accuracy"], said.decision["champion"]),
        "champion": said.decision["champion"],
        "registration": said.registration,
        "carded": said.registration["version"] in carded,  # not if its tag was deleted since
        "scores": scores,
        "members_mean": float(np.mean(members)),
        "board": [_line(row, found) for row in said.leaderboard],
        "classes": [
            {"name": name, **dict(zip(scores["per_class"], values, strict=True))}
            for name, *values in zip(classes, *scores["per_class"].values(), strict=True)
        ],
        "noun": noun(classes),
        "nouns": nouns(classes),
        "about": found.about,
        "level": report_words.level(said.leaderboard[0]["level"]),
        "images": len(found.labels),
        "rows": said.validation["rows"],
        "expectations": report_words.expectations(said.validation),
        "drift": drift,
        "labels": said.labels,
        "pictures": pictures,
        "files": {path.as_posix(): text for path, text in RAW.items()},
    }


def _line(row: dict[str, Any], found: Run) -> dict[str, Any]:
    """Return a line of the leaderboard with what other files know of the model."""
    return {
        **found.results.models[row["model"]],
        **row,
        "verdict": row["fit"].partition(":")[0],
        "seconds": found.seconds[row["model"]],
    }


if __name__ == "__main__":
    run(main)
