"""The gate's verdict as a pure function of figures: promote or refuse, and why."""

from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

from tasks.core.comparison import Comparison, Interval

Verdict = Literal["promote", "refuse"]
_STANDS = {"superior": "superior to", "equal": "equal to", "worse": "worse than"}


@dataclass(frozen=True)
class Thresholds:
    """What a challenger has to reach; fractions where no unit is told.

    ``max_log_loss`` is in nats. ``max_export_gap`` is what may lie between the artifact's own
    accuracy and the one that `evaluate` reported, ``max_answer_gap`` between a probability as
    recorded and as a fresh process computes it. ``margin`` and ``corruption_margin`` are the
    accuracy by which the lower end of an interval may fall short of the champion, on the test
    images as they are and corrupted; ``level`` is that of the intervals and, taken from one,
    the test's significance.
    """

    min_accuracy: float
    min_class_recall: float
    max_calibration_error: float
    max_log_loss: float
    max_export_gap: float
    max_answer_gap: float
    max_megabytes: float
    max_milliseconds: float
    margin: float
    corruption_margin: float
    level: float


@dataclass(frozen=True)
class Scores:
    """The challenger's figures on the test images, as `evaluate` reported them."""

    accuracy: float
    worst_class_recall: float
    expected_calibration_error: float
    log_loss: float


class Fitness(NamedTuple):
    """How an artifact behaves in a fresh process.

    ``gap`` is the largest distance in probability from the recorded answers, ``load_seconds``
    the time to load the model, ``milliseconds`` the median time of one image's answer on one
    core, ``size`` the artifact's bytes.
    """

    gap: float
    load_seconds: float
    milliseconds: float
    size: int


@dataclass(frozen=True)
class Champion:
    """The current champion beside the challenger, on the same images in the same process.

    ``comparison`` is on the test images, ``corrupted`` on those corrupted; both are None if
    the champion could not be scored, and ``fault`` says why; ``others``: since it tells other
    classes apart. ``identical``: same bytes.
    """

    version: str
    comparison: Comparison | None = None
    corrupted: Interval | None = None
    fault: str = ""
    identical: bool = False
    others: bool = False


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
    scores: Scores,
    accuracy: float,
    fitness: Fitness,
    champion: Champion | None,
    thresholds: Thresholds,
) -> Decision:
    """Judge a challenger; the artifact's own ``accuracy`` has to confirm its ``scores``.

    A champion that could not be scored is not replaced: nobody knows whether that would be
    a step back.
    """
    rules = [
        *_floors(scores, thresholds),
        *_service(scores, accuracy, fitness, thresholds),
        *(_beside(champion, thresholds) if champion else ()),
    ]
    failed = [rule for rule in rules if not rule.passed]
    reasons = [_complaint(rule) for rule in failed]
    reasons += _standing(champion, passed=not failed)
    return Decision("refuse" if failed else "promote", tuple(reasons), tuple(rules))


def _floors(scores: Scores, limit: Thresholds) -> list[Rule]:
    recall, error = scores.worst_class_recall, scores.expected_calibration_error
    return [
        _at_least("accuracy", scores.accuracy, limit.min_accuracy),
        _at_least("worst class recall", recall, limit.min_class_recall),
        _at_most("calibration error", error, limit.max_calibration_error),
        _at_most("log loss", scores.log_loss, limit.max_log_loss),
    ]


def _service(scores: Scores, accuracy: float, fitness: Fitness, limit: Thresholds) -> list[Rule]:
    # The floors are judged by `evaluate`'s figures, so the file that will serve has to be
    # the model that `evaluate` saw.
    gap = abs(accuracy - scores.accuracy)
    export = "gap between the artifact's and the evaluated accuracy"
    return [
        _at_most(export, gap, limit.max_export_gap),
        _at_most("gap in probability to the recorded answers", fitness.gap, limit.max_answer_gap),
        _at_most("megabytes of the artifact", fitness.size / 1e6, limit.max_megabytes),
        _at_most("milliseconds for one image", fitness.milliseconds, limit.max_milliseconds),
    ]


def _beside(champion: Champion, limit: Thresholds) -> list[Rule]:
    beside, corrupted = champion.comparison, champion.corrupted
    if beside is None or corrupted is None:
        return [_at_least("champions that could be scored", 0.0, 1.0)]
    # Within the margin, but surely behind: nothing speaks for it, and a row of such steps
    # would lead down.
    chance = beside.p_value if beside.difference < 0 else 1.0
    return [
        _at_least("accuracy minus the champion's, lower end", beside.low, -limit.margin),
        _at_least("p-value if behind the champion", chance, 1 - limit.level),
        _at_least(
            "accuracy on corrupted images minus the champion's, lower end",
            corrupted.low,
            -limit.corruption_margin,
        ),
    ]


def _at_least(name: str, value: float, threshold: float) -> Rule:
    # A difference of exactly the margin is not lost to the last binary digit.
    return Rule(f"{name}, at least", value, threshold, value >= threshold - 1e-12)


def _at_most(name: str, value: float, threshold: float) -> Rule:
    return Rule(f"{name}, at most", value, threshold, value <= threshold + 1e-12)


def _complaint(rule: Rule) -> str:
    name, _, bound = rule.rule.rpartition(", ")
    return f"{name} is {rule.value:.4f}, must be {bound} {rule.threshold:g}"


def _standing(champion: Champion | None, passed: bool) -> list[str]:
    if champion is None:
        return ["passes every rule; there is no champion yet"] if passed else []
    name = f"champion {champion.version}"
    if champion.identical:
        return [f"is the {name} already"]
    if champion.others:
        return [
            f"{name} cannot stand beside it: {champion.fault}. Give these classes a champion of "
            "their own by another name for register.stage in params.yaml, or replace it (python "
            "-m flows promote VERSION --force --reason TEXT)"
        ]
    if champion.comparison is None:
        return [
            f"{name} could not be scored: {champion.fault}. Bring its file back into DVC's cache "
            "or remote and let it be judged again (python -m flows promote VERSION), return to an "
            "earlier champion (python -m flows rollback), or replace it for a reason of your own "
            "(python -m flows promote VERSION --force --reason TEXT)"
        ]
    return [_in_words(name, champion.comparison)]


def _in_words(name: str, beside: Comparison) -> str:
    points, low, high = (f"{100 * v:+.2f}" for v in (beside.difference, beside.low, beside.high))
    counts = f"{beside.only_challenger} images won, {beside.only_champion} lost"
    return (
        f"{_STANDS[beside.word]} {name}: {points} points ({low} to {high}), {counts}, "
        f"p = {beside.p_value:.2g}"
    )
