"""A card's facts about where a version comes from, what it takes and gives, how to get it.

Every function takes the facts of a version and returns blocks; it raises `KeyError` where
the version does not record what it tells.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from tasks.core.abstention import NEVER
from tasks.core.card_blocks import Block, Code, Commands, Facts, Inline, Pairs, Paragraph
from tasks.core.card_data import classes, is_mnist
from tasks.core.card_decision import DECISION
from tasks.core.card_results import ABSTENTION, CALIBRATION
from tasks.core.classes import DIGITS
from tasks.core.report_words import count

KNOWN = "models/ensemble/known_batch.json"
_ABSENT = "not recorded"


def details(facts: Facts) -> Sequence[Block]:
    """Tell what the model is, since when, from whom."""
    pairs: list[tuple[str, Inline]] = [
        ("Version", f"{facts.artifact} {facts.version}"),
        ("Registered", f"{facts.time:%Y-%m-%d %H:%M} UTC"),
        ("By, and whom to ask", facts.by),
        ("Kind", _kind(facts)),
        ("Members", _members(facts)),
        ("Size", _size(facts)),
        ("Speed", _speed(facts)),
        ("Licence", _licence(facts)),
    ]
    return [Pairs(pairs)]


def contract(facts: Facts) -> Sequence[Block]:
    """Tell what goes into the artifact and what comes out."""
    names = classes(facts)
    which = "the digits 0 to 9" if tuple(names) == DIGITS else ", ".join(names)
    pairs: list[tuple[str, Inline]] = [
        ("Format", "ONNX; needs ONNX Runtime alone"),
        ("Input images", "uint8 (n, 28, 28): grey levels as they are, 0 is background"),
        ("Output probabilities", f"float32 (n, {len(names)}): of {which}, they sum to one"),
    ]
    if ABSTENTION in facts.files:
        pairs += _answered(facts.files[ABSTENTION]["chosen"]["threshold"])
    return [Paragraph("What goes into the artifact and what comes out:"), Pairs(pairs)]


def _licence(facts: Facts) -> str:
    if is_mnist(facts):
        return "MIT, for code and model; MNIST is by LeCun, Cortes and Burges"
    return "MIT, for the code; what holds for the images is for their owner to say"


def _answered(threshold: float) -> list[tuple[str, Inline]]:
    told = "never" if threshold >= NEVER else f"the highest probability is at least {threshold:.4f}"
    return [
        ("Output answered", f"bool (n,): {told}; where false, the image goes to a person"),
        ("Metadata abstention_threshold", Code(repr(threshold))),
    ]


def _kind(facts: Facts) -> str:
    return (
        "convolutional networks whose probabilities are averaged, each trained without one part "
        "of the training images and scaled by a temperature where that helps"
    )


def _members(facts: Facts) -> str:
    parts = facts.files.get(CALIBRATION)
    if not isinstance(parts, list) or not parts:
        return _ABSENT
    return f"{len(parts)}: {', '.join(str(part['member']) for part in parts)}"


def _size(facts: Facts) -> str:
    size = facts.record.get("model", {}).get("bytes")
    return f"{count(size)} bytes" if size else _ABSENT


def _speed(facts: Facts) -> str:
    fit = facts.files.get(DECISION, {}).get("fitness")
    if not fit:
        return _ABSENT
    hardware = facts.record.get("provenance", {}).get("hardware", "hardware that is not recorded")
    return f"{fit['milliseconds']:.1f} ms an image on one core (median; {hardware})"


def provenance(facts: Facts) -> Sequence[Block]:
    """Tell by what commit, program and machine the version was made."""
    pairs: list[tuple[str, Inline]] = [
        ("Tag", Code(f"{facts.artifact}@{facts.version}")),
        ("Snapshot commit", Code(facts.commit)),
    ]
    found = facts.record["provenance"].items()
    return [Pairs([*pairs, *((_name(key), _plain(key, value)) for key, value in found)])]


def hashes(facts: Facts) -> Sequence[Block]:
    """Tell the hashes that pin artifact, data, code and settings."""
    model, said = facts.record["model"], facts.record.get("hashes", {})
    pairs: list[tuple[str, Inline]] = [
        ("Artifact, SHA-256", Code(model["sha256"])),
        ("Artifact, md5", Code(model["md5"])),
        *_each(said.get("data", {}), "{}, md5"),
        *_each(said.get("code", {}), "{}/, git's tree"),
        *_each(said.get("files", {}), "{}, SHA-256"),
    ]
    return [Paragraph("Hashes:"), Pairs(pairs)]


def _each(found: Mapping[str, str | None], name: str) -> list[tuple[str, Inline]]:
    return [(name.format(key), Code(value)) for key, value in found.items() if value]


def _name(key: str) -> str:
    return key.replace("_", " ")


def _plain(key: str, value: Any) -> Inline:
    return Code(str(value)) if key.endswith(("sha256", "head")) else str(value)


def retrieval(facts: Facts) -> Sequence[Block]:
    """Tell how to get the artifact and how to make sure that it is the right one."""
    file = f"{facts.artifact}-{facts.version}.onnx"
    model, known = facts.record["model"], facts.files.get(KNOWN)
    check = f"echo '{model['sha256']}  {file}' | sha256sum --check"
    answers = (
        f"The version's {KNOWN} holds {len(known['probabilities'])} images with the answers that "
        "the artifact has to give."
        if known
        else "The commit holds no answers that the artifact could be held to."
    )
    return [
        Paragraph(
            "In a clone that has the artifact in DVC's cache or remote; for . any address of the "
            "repository will do:"
        ),
        Commands(
            [
                f"dvc artifacts get . {facts.artifact} --rev {facts.version} --out {file}",
                check,
                f"git show {facts.artifact}@{facts.version}",
                f"python -m flows trace {facts.version}",
            ]
        ),
        Paragraph(
            "The tag tells the whole record; trace follows it back to data, code and parameters "
            f"and checks every hash on the way. {answers}"
        ),
    ]
