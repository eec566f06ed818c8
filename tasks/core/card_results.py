"""A card's figures: what the model reaches, by class, how sure it is, what it leaves open.

Every function takes the facts of a version and returns blocks; it raises `KeyError` where
the version does not record what it tells.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tasks.core import report_words
from tasks.core.abstention import NEVER
from tasks.core.card_blocks import Block, Facts, Paragraph, Table
from tasks.core.classes import DIGITS, noun
from tasks.core.metrics import wilson_interval
from tasks.core.report_words import count, percent

MODELS = "reports/evaluate/models.json"
FIGURES = "reports/evaluate/metrics/ensemble.json"
ABSTENTION = "reports/evaluate/abstention.json"
CALIBRATION = "models/ensemble/calibration.json"
PARAMS = "params.yaml"

_RESAMPLES = 2000
_DASH = "\N{EN DASH}"
_ABOUT_INTERVALS = (
    "Intervals: Wilson's for the accuracy; for log loss and Brier score a bootstrap of the images, "
    "for macro F1 of the confusion matrix. Where there is a dash none is given: a bootstrap of the "
    "calibration error would lie above it, and older versions do not record the others."
)


def metrics(facts: Facts) -> Sequence[Block]:
    """Tell the scores on the test images, with intervals where the commit allows them."""
    scores, level = facts.files[FIGURES], level_of(facts)
    accuracy = between(scores["accuracy_low"], scores["accuracy_high"])
    header = ("Score on the test images", "Value", f"{report_words.level(level)} interval")
    rows = [
        ("Accuracy", percent(scores["accuracy"]), accuracy),
        ("Macro F1", percent(scores["macro_f1"]), _interval_of_f1(facts, level)),
        ("Log loss (nats)", f"{scores['log_loss']:.4f}", _interval_of(facts, "log_loss")),
        ("Brier score (0 to 2)", f"{scores['brier']:.4f}", _interval_of(facts, "brier")),
        ("Calibration error", percent(scores["expected_calibration_error"]), _DASH),
    ]
    held_out, images = scores["validation_accuracy"], scores["validation_images"]
    return [
        Table("Scores on the test images", header, rows),
        Paragraph(_ABOUT_INTERVALS, soft=True),
        Paragraph(
            f"{count(scores['errors'])} test images are read wrong. On {count(images)} training "
            f"images, each read by the members that were not trained on it, the accuracy is "
            f"{percent(held_out)}."
        ),
    ]


def by_class(facts: Facts) -> Sequence[Block]:
    """Tell precision, recall with its interval, and F1 of every class."""
    level, names = level_of(facts), _names(facts)
    word = noun(names)
    header = (word.capitalize(), "Test images", "Recall", f"{report_words.level(level)} interval")
    return [
        Table(
            f"Results by {word}",
            (*header, "Precision", "F1"),
            [
                _class(name, rates, level)
                for name, rates in zip(names, rates_by_class(facts), strict=True)
            ],
        ),
        Paragraph(
            f"Recall: the share of this {word}'s images that are read as it, with Wilson's "
            f"interval. Precision: the share of the images read as this {word} that are it.",
            soft=True,
        ),
    ]


def _names(facts: Facts) -> Sequence[str]:
    return tuple(facts.files[MODELS]["ensemble"].get("classes", DIGITS))


def rates_by_class(facts: Facts) -> list[dict[str, float]]:
    """Return precision, recall, F1 and support of each class."""
    rates = facts.files[MODELS]["ensemble"]["per_class"]
    return [dict(zip(rates, values, strict=True)) for values in zip(*rates.values(), strict=True)]


def _class(name: str, rates: Mapping[str, float], level: float) -> tuple[str, ...]:
    images = round(rates["support"])
    interval = wilson(rates["recall"], images, level)
    shares = (percent(rates["recall"]), interval, percent(rates["precision"]), percent(rates["f1"]))
    return (name, count(images), *shares)


def _interval_of_f1(facts: Facts, level: float) -> str:
    if MODELS not in facts.files:
        return _DASH
    confusion = np.array(facts.files[MODELS]["ensemble"]["confusion"])
    return between(*f1_interval(confusion, level, np.random.default_rng(0)))


def _interval_of(facts: Facts, score: str) -> str:
    scores = facts.files.get(MODELS, {}).get("ensemble", {}).get("intervals", {})
    return "{:.4f} \N{EN DASH} {:.4f}".format(*scores[score]) if score in scores else _DASH


def f1_interval(
    confusion: np.ndarray, level: float, rng: np.random.Generator
) -> tuple[float, float]:
    """Return the percentile interval of the macro F1 of a confusion matrix ``(k, k)``.

    Resampling images is drawing the cells' counts from a multinomial distribution. Source:
    Efron and Tibshirani, "An introduction to the bootstrap", 1993, chapter 13.
    """
    images = int(confusion.sum())
    draws = rng.multinomial(images, confusion.ravel() / images, size=_RESAMPLES)
    drawn = draws.reshape(-1, *confusion.shape)
    hits, seen = np.diagonal(drawn, axis1=1, axis2=2), drawn.sum(1) + drawn.sum(2)
    # Of few images a draw may leave out a class: the mean is over those that are there.
    scores = (2 * hits / np.maximum(seen, 1)).sum(1) / (seen > 0).sum(1)
    low, high = np.quantile(scores, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def calibration_error(facts: Facts) -> Sequence[Block]:
    """Tell how far confidence lies from accuracy."""
    error = facts.files[FIGURES]["expected_calibration_error"]
    bins = facts.files[PARAMS]["evaluate"]["bins"]
    return [
        Paragraph(
            f"On the test images the confidence lies {percent(error)} from the accuracy "
            f"(expected calibration error, {bins} bins of equal numbers of images)."
        )
    ]


def temperatures(facts: Facts) -> Sequence[Block]:
    """Tell each member's temperature and what it did to the log loss."""
    rows = [
        (
            part["member"],
            f"{part['temperature']:.4f}",
            f"{part['log_loss_before']:.4f}",
            f"{part['log_loss_after']:.4f}",
        )
        for part in facts.files[CALIBRATION]
    ]
    header = ("Member", "Temperature", "Log loss before", "Log loss after")
    return [
        Paragraph(
            "Each member is scaled by a temperature, fitted on training images that were held "
            "out from it; the log loss (nats) is that on the same images. 1 leaves it as it is."
        ),
        Table("Temperatures of the members", header, rows),
    ]


def abstention(facts: Facts) -> Sequence[Block]:
    """Tell when the model leaves an image to a person, and what that comes to."""
    said = facts.files[ABSTENTION]
    chosen, test = said["chosen"], said["test"]
    rows = [
        ("Training images, held out", *_outcome(chosen)),
        ("Test images", *_outcome(test)),
    ]
    return [
        Paragraph(_threshold(chosen)),
        Table(
            "What the threshold comes to",
            ("Images", "All", "Answered", "Coverage", "Wrong answers", "Risk"),
            rows,
        ),
        Paragraph(
            "Coverage: the share of the images that get an answer. Risk: the share of wrong "
            "answers among those given.",
            soft=True,
        ),
        Paragraph(_errors(test)),
    ]


def _errors(test: Mapping[str, Any]) -> str:
    if not test["disputed"]:  # nobody has looked, or none is among these images
        return (
            f"Beside the {test['errors']} wrong answers given on test images, "
            f"{test['errors_to_a_person']} more errors went to a person."
        )
    return (
        f"Of the {test['errors']} wrong answers given on test images, {test['disputed_errors']} "
        f"are on labels that people dispute; {test['errors_to_a_person']} more errors went to a "
        f"person. Of {test['disputed']} test images with a disputed label, "
        f"{test['disputed_to_a_person']} went to a person."
    )


def _threshold(chosen: Mapping[str, Any]) -> str:
    bound = f"at most {100 * chosen['max_risk']:g}\u202f% of the answers given are wrong"
    if chosen["threshold"] >= NEVER:
        return f"No threshold was found by which {bound}: the model leaves every image to a person."
    return (
        f"The model answers from a confidence of {chosen['threshold']:.4f} on and leaves other "
        f"images to a person. The threshold was chosen on held-out training images so that "
        f"{bound}, sure to {report_words.level(chosen['level'])}; the test images had no part "
        "in it."
    )


def _outcome(part: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        count(part["images"]),
        count(part["answered"]),
        percent(part["coverage"]),
        count(part["errors"]),
        f"{100 * part['risk']:.3f}\u202f%",
    )


def wilson(share: float, images: int, level: float) -> str:
    """Return Wilson's interval of a share of so many images."""
    return between(*wilson_interval(round(share * images), images, level))


def between(low: float, high: float) -> str:
    """Return an interval of fractions in percent."""
    return f"{percent(low)} {_DASH} {percent(high)}"


def level_of(facts: Facts) -> float:
    """Return the level of the intervals of a version's scores."""
    return float(facts.files[PARAMS]["evaluate"]["level"])
