"""The gate's verdict as a pure function of figures: promote or refuse, and why."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

Verdict = Literal["promote", "refuse"]


@dataclass(frozen=True)
class Thresholds:
    """What a challenger has to reach; all are fractions but ``max_log_loss`` (nats).

    ``margin`` is the accuracy that it may lack beside the champion, ``max_export_gap`` what
    may lie between the artifact's own accuracy and the one that `evaluate` reported.
    """

    min_accuracy: float
    min_class_recall: float
    max_calibration_error: float
    max_log_loss: float
    max_export_gap: float
    margin: float


@dataclass(frozen=True)
class Scores:
    """The challenger's figures on the test images, as `evaluate` reported them."""

    accuracy: float
    worst_class_recall: float
    expected_calibration_error: float
    log_loss: float


@dataclass(frozen=True)
class Champion:
    """The current champion beside the challenger.

    ``correct`` counts its right answers on the images that the challenger was scored on;
    None if it could not be scored, and ``fault`` says why. ``recorded`` is then the accuracy
    that its version records, None if that is lost, too. ``identical``: same bytes.
    """

    version: str
    correct: int | None = None
    fault: str = ""
    recorded: float | None = None
    identical: bool = False


@dataclass(frozen=True)
class Rule:
    """One check: its name, the value found, the threshold, the outcome."""

    rule: str
    value: float
    threshold: float
    passed: bool


@dataclass(frozen=True)
class Decision:
    """Promote or refuse, the reasons in words, and every rule that was looked at."""

    decision: Verdict
    reasons: tuple[str, ...]
    rules: tuple[Rule, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the decision as plain lists and dictionaries."""
        return {
            "decision": self.decision,
            "reasons": list(self.reasons),
            "rules": [asdict(rule) for rule in self.rules],
        }


def decide(
    scores: Scores, correct: int, rows: int, champion: Champion | None, thresholds: Thresholds
) -> Decision:
    """Judge a challenger that answers ``correct`` of ``rows`` test images right.

    ``scores`` are judged by the floors; ``correct`` is the exported artifact's own count,
    which has to confirm them and is set against the champion's count on the same images.
    A champion that could not be scored is held against by the accuracy that its version
    records, and said to be; without that, too, nothing is promoted in its place.
    """
    binding = [
        *_floors(scores, thresholds),
        _export(scores, correct / rows, thresholds.max_export_gap),
    ]
    if champion:
        binding.append(_comparison(correct, rows, champion, thresholds.margin))
    failed = [rule for rule in binding if not rule.passed]
    reasons = [_complaint(rule) for rule in failed]
    reasons += _standing(correct, rows, champion, passed=not failed)
    return Decision("refuse" if failed else "promote", tuple(reasons), tuple(binding))


def _floors(scores: Scores, limit: Thresholds) -> list[Rule]:
    recall, error = scores.worst_class_recall, scores.expected_calibration_error
    return [
        _at_least("accuracy", scores.accuracy, limit.min_accuracy),
        _at_least("worst class recall", recall, limit.min_class_recall),
        _at_most("calibration error", error, limit.max_calibration_error),
        _at_most("log loss", scores.log_loss, limit.max_log_loss),
    ]


def _export(scores: Scores, accuracy: float, limit: float) -> Rule:
    # The floors are judged by `evaluate`'s figures, so the file that will serve has to be
    # the model that `evaluate` saw.
    gap = abs(accuracy - scores.accuracy)
    return _at_most("gap between the artifact's and the evaluated accuracy", gap, limit)


def _comparison(correct: int, rows: int, champion: Champion, margin: float) -> Rule:
    if champion.correct is not None:
        # Whole images divided once: a difference of exactly the margin is not lost to rounding.
        more = (correct - champion.correct) / rows
        return _at_least("accuracy minus the champion's", more, -margin)
    if champion.recorded is not None:
        more = correct / rows - champion.recorded
        return _at_least("accuracy minus what the champion's version records", more, -margin)
    return _at_least("champions that could be scored", 0.0, 1.0)


def _at_least(name: str, value: float, threshold: float) -> Rule:
    return Rule(f"{name}, at least", value, threshold, value >= threshold)


def _at_most(name: str, value: float, threshold: float) -> Rule:
    return Rule(f"{name}, at most", value, threshold, value <= threshold)


def _complaint(rule: Rule) -> str:
    name, _, bound = rule.rule.rpartition(", ")
    return f"{name} is {rule.value:.4f}, must be {bound} {rule.threshold:g}"


def _standing(correct: int, rows: int, champion: Champion | None, passed: bool) -> list[str]:
    if champion is None:
        return ["passes every rule; there is no champion yet"] if passed else []
    name = f"champion {champion.version}"
    if champion.identical:
        return [f"is the {name} already"]
    if champion.correct is None:
        held = "" if champion.recorded is None else f", {champion.recorded:.4f}"
        beside = f"the accuracy that its version records{held}" if held else "nothing"
        return [f"{name} could not be scored ({champion.fault}); held against {beside}"]
    counts = f"{correct} against {champion.correct} of {rows} images"
    return [f"{_words(correct - champion.correct)} {name}: {counts}"]


def _words(more: int) -> str:
    if more == 0:
        return "as many right answers as"
    return f"{abs(more)} {'more' if more > 0 else 'fewer'} right answers than"
