"""A card's words: what the model is for, what it is not for, where its limits are.

What depends on a version is taken from its facts; see `tasks.core.card_results`.
"""

from collections.abc import Sequence

from tasks.core import card_data, card_decision, card_results, report_words
from tasks.core.card_blocks import Block, Facts, Items, Paragraph
from tasks.core.classes import DIGITS, noun
from tasks.core.report_words import as_sentence, count, percent

_WORST = 3  # kinds of corruption that are named


def intended(facts: Facts) -> Sequence[Block]:
    """Tell what the model is for and what it is not for."""
    names = card_data.classes(facts)
    word, is_reading = noun(names), noun(names) == "digit"
    thing = word if is_reading else "thing"
    return [
        Paragraph(
            f"{_purpose(names)}, from images that are prepared as MNIST's "
            f"are: one {thing}, light on dark, centred in 28x28 pixels. It is made for teaching, "
            "for measuring methods, and as the reading step of a system in which a person reads "
            "what the model leaves open. It is meant for people who know how its images are "
            "prepared."
        ),
        Paragraph("Out of scope:"),
        Items(
            [
                f"{_strange(names)}: the model knows "
                f"{_counted(names)} answers alone, and a high confidence is no sign that there was "
                f"a {word if is_reading else 'thing of these classes'} at all.",
                "Photographs and scans that were not brought to that form, such as dark ink on a "
                "light page.",
                "Decisions about people, money or safety in which nobody checks the answer.",
                *(["Telling who wrote a digit."] if is_reading else []),
            ]
        ),
    ]


def _purpose(names: Sequence[str]) -> str:
    if tuple(names) == DIGITS:
        return "To read single handwritten digits, 0 to 9"
    if noun(names) == "digit":
        return f"To read single handwritten digits: {card_data.listed(names)}"
    return f"To tell these classes apart: {', '.join(names)}"


def _strange(names: Sequence[str]) -> str:
    if noun(names) == "digit":
        rest = "" if len(names) == len(DIGITS) else "other digits, "
        return as_sentence(f"{rest}letters, numbers of several digits, or images without a digit")
    return "Images of anything else, of several things, or of none"


def _counted(names: Sequence[str]) -> str:
    return "ten" if len(names) == len(DIGITS) else str(len(names))


def factors(facts: Facts) -> Sequence[Block]:
    """Tell what the results may depend on and by what they are told apart."""
    told_by = (
        f"Results are told by {noun(card_data.classes(facts))} and by the kind and strength of "
        "damage to the image, since both change them."
    )
    if not card_data.is_mnist(facts):
        return [
            Paragraph(
                f"{told_by} They are not told by where the images come from or who made them: "
                f"of that nothing is recorded for {card_data.dataset(facts)['name']}."
            )
        ]
    return [
        Paragraph(
            f"{told_by} They are not told by writer: MNIST comes from employees of the "
            "United States Census Bureau and from high-school students, and its files do not say "
            "who wrote what, nor age, hand, country or writing instrument. Forms of digits "
            "that are usual elsewhere are rare in it."
        )
    ]


def ethics(facts: Facts) -> Sequence[Block]:
    """Tell what the model means for people."""
    if not card_data.is_mnist(facts):
        return [
            Paragraph(
                "Whether the model does worse for some groups of people than for others cannot "
                "be seen in these figures. Where a wrong answer harms somebody, let a person look "
                "at what the model leaves open, and check a sample of what it answers."
            )
        ]
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
    return [
        Items(
            [
                "All figures are of one test set. Their intervals tell how much chance there is "
                "in so many images of that kind, nothing about other writers, pens or scanners.",
                "Every version's decision looks at the same test images. Nothing is chosen on "
                "them but yes or no; over many versions even that makes the figures of "
                "those that were promoted a little too good.",
                _labels_in_test(facts),
                "Stated risk and calibration hold for images like those that the model was made "
                "with. On damaged images neither was measured; expect both to be worse.",
                "It was not tested against images that were made to deceive it.",
            ]
        )
    ]


def _labels_in_test(facts: Facts) -> str:
    if not card_data.is_mnist(facts):
        return "Test labels are taken as they came: where one is wrong, a right answer is an error."
    said = facts.files.get(card_results.ABSTENTION, {}).get("test", {})
    disputed = f"{count(said['disputed'])} of the" if said.get("disputed") else "Some"
    return (
        f"{disputed} test labels are disputed by most people who were asked (Northcutt, "
        "Athalye and Mueller, 2021). They are counted as published: an accuracy of "
        "100\u202f% would mean to repeat mistakes."
    )


def weakest_corruptions(facts: Facts) -> Sequence[Block]:
    """Name the kinds of damage under which the model reads worst, by the figures."""
    said = facts.files.get(card_decision.DECISION, {}).get("robustness")
    if not said:
        return [Paragraph("How it reads damaged images was not measured for this version.")]
    kinds = report_words.robustness(said)
    worst = sorted(kinds, key=lambda row: row.steps[-1][1])[:_WORST]
    named = [f"{row.kind} ({percent(row.steps[-1][1])} at {row.steps[-1][0]})" for row in worst]
    return [
        Paragraph(
            f"Of the kinds of damage that were tried it is weakest at {card_data.listed(named)}."
        )
    ]


def weakest_class(facts: Facts) -> Sequence[Block]:
    """Name the class that is missed most often, where the version records it."""
    if card_results.MODELS not in facts.files:
        return []
    recalls = [rates["recall"] for rates in card_results.rates_by_class(facts)]
    names = card_data.classes(facts)
    missed = names[recalls.index(min(recalls))]
    return [
        Paragraph(
            f"The {noun(names)} that it misses most often is {missed}: recall "
            f"{percent(min(recalls))}."
        )
    ]
