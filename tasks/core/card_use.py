"""A card's words: what the model is for, what it is not for, where its limits are.

What depends on a version is taken from its facts; see `tasks.core.card_results`.
"""

from collections.abc import Sequence

from tasks.core import card_decision, card_results, report_words
from tasks.core.card_blocks import Block, Facts, Items, Paragraph
from tasks.core.report_words import count, percent

_WORST = 3  # kinds of corruption that are named


def intended(facts: Facts) -> Sequence[Block]:
    """Tell what the model is for and what it is not for."""
    return [
        Paragraph(
            "To read single handwritten digits, 0 to 9, from images that are prepared as MNIST's "
            "are: one digit, light on dark, centred in 28x28 pixels. It is made for teaching, "
            "for measuring methods, and as the reading step of a system in which a person reads "
            "what the model leaves open. It is meant for people who know how its images are "
            "prepared."
        ),
        Paragraph("Out of scope:"),
        Items(
            [
                "Letters, numbers of several digits, or images without a digit: the model knows "
                "ten answers alone, and a high confidence is no sign that there was a digit at "
                "all.",
                "Photographs and scans that were not brought to that form, such as dark ink on a "
                "light page.",
                "Decisions about people, money or safety in which nobody checks the answer.",
                "Telling who wrote a digit.",
            ]
        ),
    ]


def factors(facts: Facts) -> Sequence[Block]:
    """Tell what the results may depend on and by what they are told apart."""
    return [
        Paragraph(
            "Results are told by digit and by the kind and strength of damage to the image, since "
            "both change them. They are not told by writer: MNIST comes from employees of the "
            "United States Census Bureau and from high-school students, and its files do not say "
            "who wrote what, nor age, hand, country or writing instrument. Forms of digits "
            "that are usual elsewhere are rare in it."
        )
    ]


def ethics(facts: Facts) -> Sequence[Block]:
    """Tell what the model means for people."""
    return [
        Paragraph(
            "The images are handwriting of people who are not named; no other personal data are "
            "used. Whether the model reads some groups of writers worse than others cannot be "
            "seen in these data. Where a wrong digit harms somebody, let a person read what the "
            "model leaves open, and check a sample of what it answers."
        )
    ]


def limits(facts: Facts) -> Sequence[Block]:
    """Tell what the figures of this card do not show."""
    said = facts.files.get(card_results.ABSTENTION, {}).get("test", {})
    disputed = f"{count(said['disputed'])} of the" if said.get("disputed") else "Some"
    return [
        Items(
            [
                "All figures are of one test set. Their intervals tell how much chance there is "
                "in so many images of that kind, nothing about other writers, pens or scanners.",
                "Every version's decision looks at the same test images. Nothing is chosen on "
                "them but yes or no; over many versions even that makes the figures of "
                "those that were promoted a little too good.",
                f"{disputed} test labels are disputed by most people who were asked (Northcutt, "
                "Athalye and Mueller, 2021). They are counted as published: an accuracy of "
                "100\u202f% would mean to repeat mistakes.",
                "Stated risk and calibration hold for images like those that the model was made "
                "with. On damaged images neither was measured; expect both to be worse.",
                "It was not tested against images that were made to deceive it.",
            ]
        )
    ]


def weakest_corruptions(facts: Facts) -> Sequence[Block]:
    """Name the kinds of damage under which the model reads worst, by the figures."""
    said = facts.files.get(card_decision.DECISION, {}).get("robustness")
    if not said:
        return [Paragraph("How it reads damaged images was not measured for this version.")]
    kinds = report_words.robustness(said)
    worst = sorted(kinds, key=lambda row: row.steps[-1][1])[:_WORST]
    named = [f"{row.kind} ({percent(row.steps[-1][1])} at {row.steps[-1][0]})" for row in worst]
    return [Paragraph(f"Of the kinds of damage that were tried it is weakest at {_listed(named)}.")]


def weakest_digit(facts: Facts) -> Sequence[Block]:
    """Name the digit that is missed most often, where the version records it."""
    if card_results.MODELS not in facts.files:
        return []
    recalls = [rates["recall"] for rates in card_results.rates_by_digit(facts)]
    digit = recalls.index(min(recalls))
    return [
        Paragraph(
            f"The digit that it misses most often is {digit}: recall {percent(min(recalls))}."
        )
    ]


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
