"""What a card tells of the data: what the model was trained and tested on, and its classes.

Every function takes the facts of a version and returns blocks; it raises `KeyError` where
the version does not record what it tells. A version that records no data set is from when
there was MNIST alone.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from tasks.core.card_blocks import Block, Facts, Paragraph
from tasks.core.card_decision import DECISION
from tasks.core.card_results import MODELS, PARAMS, rates_by_class
from tasks.core.classes import DIGITS, noun
from tasks.core.report_words import count

DATASET = "data/ingest/dataset.json"
REVIEWS = "data/preprocess/reviews.json"

_MNIST: Mapping[str, Any] = {"name": "MNIST", "is_mnist": True, "classes": DIGITS}
_UNKNOWN: Mapping[str, Any] = {"name": "the data set", "is_mnist": False, "classes": DIGITS}


def dataset(facts: Facts) -> Mapping[str, Any]:
    """Return what the version records of its data set."""
    found = facts.files.get(DATASET, _MNIST)
    known = isinstance(found, Mapping) and isinstance(found.get("classes"), list | tuple)
    return {**_UNKNOWN, **found} if known else _UNKNOWN


def classes(facts: Facts) -> Sequence[str]:
    """Return the names of the classes."""
    return tuple(dataset(facts)["classes"])


def is_mnist(facts: Facts) -> bool:
    """Tell whether the data are the published MNIST."""
    return bool(dataset(facts)["is_mnist"])


def what_it_does(facts: Facts) -> str:
    """Say in a few words what the model does."""
    names = classes(facts)
    if tuple(names) == DIGITS:
        return "reads handwritten digits"
    if noun(names) == "digit":
        return f"reads the handwritten digits {listed(names)}"
    return f"tells {len(names)} classes of images apart"


def listed(names: Sequence[str]) -> str:
    """Return ``a, b and c``."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def training_data(facts: Facts) -> Sequence[Block]:
    """Tell what the model was trained on."""
    said, data = facts.files[PARAMS], dataset(facts)
    rows = data["rows"]["train"] if "rows" in data else said["data"]["train_rows"]
    shown = noun(classes(facts))
    first = f"Training: the first {count(rows)} images of {data['name']}'s training set"
    if fed_back := data.get("rows", {}).get("feedback", 0):
        first += f" and {count(fed_back)} whose labels people gave in use"
    return [
        Paragraph(
            f"{first}, dealt into {said['preprocess']['folds']} folds with the same share of each "
            f"{shown}. {_origin(facts)} They were held to expectations before they were used, and "
            "in training they were turned, scaled, sheared and shifted at random."
        )
    ]


def _origin(facts: Facts) -> str:
    if is_mnist(facts):
        return (
            "Whatever way the files came, their SHA-256 are those of the official ones, or the "
            "run stops."
        )
    total = sum(dataset(facts)["class_counts"])
    return (
        f"It has {count(total)}, in an order that follows from the images alone. Each was brought "
        "to MNIST's form: 28x28 pixels, light on dark, centred."
    )


def test_data(facts: Facts) -> Sequence[Block]:
    """Tell what the model was tested on."""
    images, name = facts.files[DECISION]["images"], dataset(facts)["name"]
    order = ", in the published order" if is_mnist(facts) else ""
    text = (
        f"Test: the {count(images)} images of {name}'s test set{order}. Their "
        "labels were opened after training; no epoch, member, weight, temperature or threshold is "
        "chosen on them."
    )
    if MODELS in facts.files:
        counts = [rates["support"] for rates in rates_by_class(facts)]
        text += f" Of each {noun(classes(facts))} there are {count(round(min(counts)))} to "
        text += f"{count(round(max(counts)))}."
    return [Paragraph(text)]


def reviews(facts: Facts) -> Sequence[Block]:
    """Tell which training labels a person changed."""
    if REVIEWS not in facts.files:  # a version from before there were reviews
        return [Paragraph("Training labels are as published: no reviews of labels are recorded.")]
    said = facts.files[REVIEWS]
    if not said["exclude"] + said["correct"]:
        return [Paragraph("Training labels are as published: no review changes any.")]
    return [
        Paragraph(
            f"By people's reviews {count(said['exclude'])} training images are excluded and "
            f"{count(said['correct'])} labels corrected: the version's data/label_reviews.csv "
            "says which, by whom and why."
        )
    ]
