"""What the report says, in words and rounded figures."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple


class Verdict(NamedTuple):
    """The first thing that a reader sees."""

    promoted: bool
    word: str
    sentence: str
    reasons: list[str]


class Check(NamedTuple):
    """One rule of the gate."""

    name: str
    value: str
    bound: str
    passed: bool


class Corrupted(NamedTuple):
    """One kind of corruption: at each severity what it is and the accuracy, champion's too."""

    kind: str
    steps: list[tuple[str, float, float | None]]


class Expectations(NamedTuple):
    """How many expectations on the data were checked, and those that fail, in words."""

    total: int
    failing: list[str]


def verdict(decision: Mapping[str, Any], registration: Mapping[str, Any]) -> Verdict:
    """Say what became of the new model; arguments are as `gate` and `register` write them."""
    version, champion = registration["version"], decision["champion"]
    promoted = decision["decision"] == "promote"
    reasons = [as_sentence(reason) for reason in decision["reasons"]]
    if withheld := registration.get("withheld"):
        sentence = f"{version} passes, but {withheld}."
        return Verdict(False, "Withheld", sentence, reasons)
    if promoted:
        sentence = f"{version} is the {registration['stage']}."
    elif champion and champion["version"] == version:
        sentence = f"{version} stays the champion: this is the very same model."
    elif champion:
        sentence = f"{champion['version']} stays the champion; the new model is kept as {version}."
    else:
        sentence = f"There is no champion; the new model is kept as {version}."
    word = "Promoted" if promoted else "Refused"
    return Verdict(promoted, word, sentence, reasons)


def checks(rules: Sequence[Mapping[str, Any]]) -> list[Check]:
    """Return the gate's rules, which it names as ``what, at least`` or ``what, at most``."""
    found = []
    for rule in rules:
        name, _, bound = rule["rule"].rpartition(", ")
        limit = f"{bound} {rule['threshold']:g}"
        found.append(Check(as_sentence(name), f"{rule['value']:.4f}", limit, rule["passed"]))
    return found


def robustness(said: Mapping[str, Any]) -> list[Corrupted]:
    """Return the gate's accuracies on corrupted images, the hardest kind first."""
    kinds = sorted(said["kinds"].items(), key=lambda item: sum(item[1]["accuracy"]))
    return [Corrupted(kind, _steps(values)) for kind, values in kinds]


def _steps(values: Mapping[str, Any]) -> list[tuple[str, float, float | None]]:
    theirs = values["champion"] or [None] * len(values["accuracy"])
    names = [f"{severity:g} {values['unit']}" for severity in values["severities"]]
    return list(zip(names, values["accuracy"], theirs, strict=True))


def expectations(report: Mapping[str, Any]) -> Expectations:
    """Sum up what `validate` found."""
    results = report["expectations"]
    return Expectations(len(results), [_failure(r) for r in results if not r["success"]])


def change(accuracy: float, champion: Mapping[str, Any] | None) -> str:
    """Say how far the accuracy is from the champion's, in percentage points; "" without one."""
    if champion is None or champion.get("accuracy") is None or champion.get("identical"):
        return ""
    points = 100 * (accuracy - champion["accuracy"])
    return f"{points:+.2f} points against champion {champion['version']}".replace(
        "-", "\N{MINUS SIGN}"
    )


def effect_of_reviews(decision: Mapping[str, Any]) -> str:
    """Say what other reviews of labels than the champion's did to the accuracy; "" if unknown."""
    champion, beside = decision["champion"], decision["comparison"]
    if not champion or not beside or not champion.get("reviews"):
        return ""
    theirs, ours = champion["reviews"], decision["challenger"]["reviews"]
    name = f"champion {champion['version']}"
    if ours and theirs["sha256"] == ours["sha256"]:
        return f"The {name} was trained with the same reviews."
    points, low, high = (f"{100 * beside[key]:+.2f}" for key in ("difference", "low", "high"))
    return (
        f"The {name} was trained with {theirs['exclude']} images excluded and "
        f"{theirs['correct']} labels corrected. Against it: {points} points ({low} to {high}) on "
        "the test images, by all that differs between the two."
    ).replace("-", "\N{MINUS SIGN}")


def percent(value: float) -> str:
    """Return a fraction as percent with two digits: on 10,000 images one image is 0.01 %."""
    return f"{100 * value:.2f}\u202f%"


def level(value: float) -> str:
    """Return the level of an interval, such as ``95 %``."""
    return f"{100 * value:g}\u202f%"


def count(value: int) -> str:
    """Return a whole number with its thousands set apart."""
    return f"{value:,}".replace(",", "\u202f")


def duration(seconds: float | None) -> str:
    """Return seconds as ``12 s`` or ``3 min 05 s``; a dash where nobody took the time."""
    if seconds is None:
        return "\N{EN DASH}"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def as_sentence(text: str) -> str:
    """Return a text with its first letter in upper case."""
    return text[:1].upper() + text[1:]


def _failure(result: Mapping[str, Any]) -> str:
    where = f" of {result['column']}" if result["column"] else ""
    found = f", found {result['observed']}" if result["observed"] is not None else ""
    faults = f", {result['unexpected_count']} unexpected" if result["unexpected_count"] else ""
    return f"{result['table']}: {result['expectation']}{where}{found}{faults}"
