"""What a card tells of the gate: accuracy on corrupted images, every rule, the comparison.

Every function takes the facts of a version and returns blocks; it raises `KeyError` where
the version does not record what it tells.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from tasks.core import report_words
from tasks.core.card_blocks import Block, Facts, Items, Pairs, Paragraph, Table
from tasks.core.card_results import level_of, wilson
from tasks.core.report_words import count, percent

DECISION = "models/decision.json"


def corruptions(facts: Facts) -> Sequence[Block]:
    """Tell the accuracy on images that were damaged in each way, the hardest first."""
    said, level = facts.files[DECISION]["robustness"], level_of(facts)
    images, beside = said["images"], said["champion"] is not None
    strongest = f"Strong, {report_words.level(level)} interval"
    header = ("Corruption", "Mild", "Medium", "Strong", strongest, "Severities")
    rows = [
        (
            row.kind,
            *(_step(ours, theirs) for _, ours, theirs in row.steps),
            wilson(row.steps[-1][1], images, level),
            _severities(said["kinds"][row.kind]),
        )
        for row in report_words.robustness(said)
    ]
    note = "; in brackets that of the champion of the time on the same images" if beside else ""
    return [
        Paragraph(
            f"Accuracy on {count(images)} test images, damaged in {len(rows)} ways at three "
            f"severities{note}. Over all of them it is {percent(said['accuracy'])}."
        ),
        Table("Accuracy on corrupted images", header, rows),
    ]


def _severities(said: Mapping[str, Any]) -> str:
    return f"{', '.join(f'{value:g}' for value in said['severities'])} {said['unit']}"


def _step(ours: float, theirs: float | None) -> str:
    return percent(ours) if theirs is None else f"{percent(ours)} ({percent(theirs)})"


def decision(facts: Facts) -> Sequence[Block]:
    """Tell what the gate decided when the version was registered, and why."""
    said = facts.files[DECISION]
    word = "passed" if said["decision"] == "promote" else "refused"
    return [
        Paragraph(
            f"The gate {word} the model when it was registered; what became of it since is told "
            "by the registry's history. The reasons:"
        ),
        Items([report_words.as_sentence(reason) for reason in said["reasons"]]),
    ]


def rules(facts: Facts) -> Sequence[Block]:
    """Tell every rule that the gate looked at."""
    rows = [
        (check.name, "passed" if check.passed else "failed", check.value, check.bound)
        for check in report_words.checks(facts.files[DECISION]["rules"])
    ]
    return [Table("The rules of the gate", ("Rule", "Outcome", "Value", "Threshold"), rows)]


def comparison(facts: Facts) -> Sequence[Block]:
    """Tell how the model stood beside the champion of the time."""
    said = facts.files[DECISION]
    champion, beside = said["champion"], said["comparison"]
    if champion is None:
        return [Paragraph("There was no champion to stand beside.")]
    if beside is None:
        text = f"Champion {champion['version']} could not be scored: {champion['fault']}."
        return [Paragraph(text)]
    sure = report_words.level(said["level"])
    pairs = [
        ("Champion of the time", champion["version"]),
        ("Outcome", beside["word"]),
        ("Difference in accuracy", _points(beside, sure)),
        ("Images that this model alone reads right", count(beside["only_challenger"])),
        ("Images that the champion alone reads right", count(beside["only_champion"])),
        ("p-value of McNemar's exact test", f"{beside['p_value']:.2g}"),
    ]
    if corrupted := said["robustness"]["interval"]:
        pairs.append(("Difference on corrupted images", _points(corrupted, sure)))
    images, reviewed = count(said["images"]), report_words.effect_of_reviews(said)
    return [
        Paragraph(f"Beside the champion, on the same {images} test images:"),
        Pairs(pairs),
        *([Paragraph(reviewed)] if reviewed else []),
    ]


def _points(interval: Mapping[str, float], level: str) -> str:
    difference, low, high = (
        f"{100 * interval[end]:+.2f}".replace("-", "\N{MINUS SIGN}")
        for end in ("difference", "low", "high")
    )
    return f"{difference} points, {level} interval {low} to {high}"
