"""A model card for a version: everything that a person should know before using the model.

Sections follow Mitchell et al., "Model cards for model reporting", 2019. The content is made
once; templates render it as HTML and as Markdown.
"""

from collections.abc import Sequence
from typing import NamedTuple

from tasks.core import card_data, card_decision, card_origin, card_results, card_use
from tasks.core.card_blocks import Facts, Part, Section, told
from tasks.core.classes import noun
from tasks.core.report_words import as_sentence, percent


class Card(NamedTuple):
    """A version's card: its title, one sentence that sums it up, its sections."""

    title: str
    summary: str
    sections: Sequence[Section]


class Line(NamedTuple):
    """A version in the list of all: texts, a dash where nothing is recorded."""

    version: str
    registered: str
    decision: str
    accuracy: str
    coverage: str


_SECTIONS: Sequence[tuple[str, Sequence[Part]]] = (
    ("Model details", (card_origin.details, card_origin.contract)),
    ("Intended use", (card_use.intended,)),
    ("Factors", (card_use.factors,)),
    ("Data", (card_data.training_data, card_data.test_data, card_data.reviews)),
    ("Metrics", (card_results.metrics,)),
    ("Results by {noun}", (card_results.by_class,)),
    ("Results on corrupted images", (card_decision.corruptions,)),
    ("Calibration", (card_results.calibration_error, card_results.temperatures)),
    ("Abstention", (card_results.abstention,)),
    (
        "The gate's decision",
        (card_decision.decision, card_decision.rules, card_decision.comparison),
    ),
    ("Ethical considerations", (card_use.ethics,)),
    ("Limits", (card_use.limits, card_use.weakest_corruptions, card_use.weakest_class)),
    ("Provenance", (card_origin.provenance, card_origin.hashes)),
    ("How to get and verify it", (card_origin.retrieval,)),
)


def card(facts: Facts) -> Card:
    """Return the card of a version, from what the registry holds of it alone."""
    word = noun(card_data.classes(facts))
    sections = [
        Section(title.format(noun=word), [block for part in parts for block in told(part, facts)])
        for title, parts in _SECTIONS
    ]
    return Card(f"Model card: {facts.artifact} {facts.version}", _summary(facts), sections)


def line(facts: Facts) -> Line:
    """Return what the list of all versions says of one."""
    return Line(
        version=facts.version,
        registered=f"{facts.time:%Y-%m-%d %H:%M} UTC",
        decision=_decision(facts) or _DASH,
        accuracy=_share(facts, card_results.FIGURES, "accuracy"),
        coverage=_share(facts, card_results.ABSTENTION, "test", "coverage"),
    )


_DASH = "\N{EN DASH}"
_WORDS = {"promote": "passed", "refuse": "refused"}


def _summary(facts: Facts) -> str:
    accuracy = _share(facts, card_results.FIGURES, "accuracy")
    decided, does = _decision(facts), card_data.what_it_does(facts)
    parts = [
        f"{as_sentence(does)}; registered on {facts.time:%Y-%m-%d}",
        f"{accuracy} of the test images read right" if accuracy != _DASH else "",
        f"{decided} by the gate" if decided else "",
    ]
    return ", ".join(part for part in parts if part) + "."


def _decision(facts: Facts) -> str:
    return _WORDS.get(str(facts.record.get("decision")), "")


def _share(facts: Facts, file: str, *keys: str) -> str:
    found = facts.files.get(file)
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return percent(found) if isinstance(found, int | float) else _DASH
