"""The gate: the decision as a pure function, and the stage on real models."""

import json
import os
from pathlib import Path

import pytest
import toy_registry as toy

from tasks import gate, register
from tasks.core.decision import Champion, Scores, Thresholds, decide
from tasks.io.registry import Place
from tasks.io.stage import StageError

PLACE = Place(artifact="digits", stage="champion")
FLOORS = Thresholds(
    min_accuracy=0.99,
    min_class_recall=0.98,
    max_calibration_error=0.01,
    max_log_loss=0.05,
    max_export_gap=0.0005,
    margin=0.0005,
)
SCORES = Scores(
    accuracy=0.997, worst_class_recall=0.99, expected_calibration_error=0.002, log_loss=0.01
)


def test_a_challenger_above_every_floor_is_promoted_where_there_is_no_champion():
    decision = decide(SCORES, 9970, 10_000, None, FLOORS).as_dict()
    assert decision == {
        "decision": "promote",
        "reasons": ["passes every rule; there is no champion yet"],
        "rules": [
            rule("accuracy, at least", 0.997, 0.99),
            rule("worst class recall, at least", 0.99, 0.98),
            rule("calibration error, at most", 0.002, 0.01),
            rule("log loss, at most", 0.01, 0.05),
            rule("gap between the artifact's and the evaluated accuracy, at most", 0.0, 0.0005),
        ],
    }


def rule(name: str, value: float, threshold: float, passed: bool = True) -> dict:
    return {"rule": name, "value": value, "threshold": threshold, "passed": passed}


@pytest.mark.parametrize(
    ("changed", "correct", "reason"),
    [
        ({"accuracy": 0.9899}, 9899, "accuracy is 0.9899, must be at least 0.99"),
        ({"worst_class_recall": 0.97}, 9970, "worst class recall is 0.9700, must be at least 0.98"),
        (
            {"expected_calibration_error": 0.02},
            9970,
            "calibration error is 0.0200, must be at most 0.01",
        ),
        ({"log_loss": 0.06}, 9970, "log loss is 0.0600, must be at most 0.05"),
        (
            {},
            9900,
            "gap between the artifact's and the evaluated accuracy is 0.0070, "
            "must be at most 0.0005",
        ),
    ],
)
def test_one_missed_floor_refuses_and_says_which(changed, correct, reason):
    scores = Scores(**vars(SCORES) | changed)
    decision = decide(scores, correct, 10_000, None, FLOORS)
    assert (decision.decision, decision.reasons) == ("refuse", (reason,))


def test_figures_exactly_on_their_floors_pass():
    scores = Scores(0.99, 0.98, 0.01, 0.05)
    assert decide(scores, 9900, 10_000, None, FLOORS).decision == "promote"


def test_a_challenger_worse_by_exactly_the_margin_is_promoted():
    decision = decide(SCORES, 9970, 10_000, Champion("v0.0.3", 9975), FLOORS)
    assert decision.decision == "promote"
    assert decision.reasons == (
        "5 fewer right answers than champion v0.0.3: 9970 against 9975 of 10000 images",
    )


def test_a_challenger_worse_by_one_image_more_than_the_margin_is_refused():
    decision = decide(SCORES, 9970, 10_000, Champion("v0.0.3", 9976), FLOORS)
    assert decision.decision == "refuse"
    assert decision.reasons == (
        "accuracy minus the champion's is -0.0006, must be at least -0.0005",
        "6 fewer right answers than champion v0.0.3: 9970 against 9976 of 10000 images",
    )


@pytest.mark.parametrize(
    ("correct", "words"),
    [(9970, "as many right answers as"), (9960, "10 more right answers than")],
)
def test_the_reason_sets_the_challenger_against_the_champion(correct, words):
    decision = decide(SCORES, 9970, 10_000, Champion("v0.0.3", correct), FLOORS)
    assert decision.reasons == (f"{words} champion v0.0.3: 9970 against {correct} of 10000 images",)


@pytest.mark.parametrize(("recorded", "word"), [(0.9970, "promote"), (0.9976, "refuse")])
def test_a_champion_that_cannot_be_scored_is_told_and_its_recorded_accuracy_binds(recorded, word):
    champion = Champion("v0.0.3", fault="lost", recorded=recorded)
    decision = decide(SCORES, 9970, 10_000, champion, FLOORS)
    assert decision.decision == word
    assert decision.reasons[-1] == (
        "champion v0.0.3 could not be scored (lost); held against the accuracy that its version "
        f"records, {recorded:.4f}"
    )


def test_a_champion_without_a_score_or_a_record_is_not_replaced():
    decision = decide(SCORES, 9970, 10_000, Champion("v0.0.3", fault="lost"), FLOORS)
    assert decision.decision == "refuse"
    assert decision.reasons == (
        "champions that could be scored is 0.0000, must be at least 1",
        "champion v0.0.3 could not be scored (lost); held against nothing",
    )


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gate") / "repo"
    toy.build(folder)
    return folder


@pytest.fixture
def repo(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    folder = toy.copy(template, tmp_path / "repo")
    monkeypatch.chdir(folder)
    return folder


def decided() -> dict:
    gate.main()
    return json.loads(Path("models/decision.json").read_text())


def test_the_first_model_is_promoted_and_its_hash_recorded(repo):
    decision = decided()
    assert (decision["decision"], decision["champion"]) == ("promote", None)
    assert decision["challenger"]["md5"] == toy.md5(toy.model())
    assert decision["challenger"]["accuracy"] == 1.0


def test_a_worse_model_is_scored_beside_the_champion_and_refused(repo):
    gate.main()
    register.main()
    toy.put_model(repo, toy.model(worse=1))
    toy.write_figures(repo, accuracy=0.9)
    decision = decided()
    assert decision["decision"] == "refuse"
    assert decision["reasons"][-1] == (
        "2 fewer right answers than champion v0.0.1: 18 against 20 of 20 images"
    )
    assert (decision["challenger"]["accuracy"], decision["champion"]["accuracy"]) == (0.9, 1.0)


def test_the_champion_itself_is_recognised_and_nothing_new_is_registered(repo):
    gate.main()
    register.main()
    decision = decided()
    assert (decision["decision"], decision["reasons"]) == (
        "promote",
        ["is the champion v0.0.1 already"],
    )
    register.main()
    assert toy.run(repo, "git", "tag").split() == ["digits#champion#1", "digits@v0.0.1"]


def test_a_damaged_champion_is_a_stated_outcome(repo):
    gate.main()
    register.main()
    cached = toy.cache_file(repo, toy.md5(toy.model()))
    cached.chmod(0o644)
    cached.write_bytes(b"garbage")
    toy.put_model(repo, toy.model(worse=1))
    toy.write_figures(repo, accuracy=0.9)
    decision = decided()
    assert decision["decision"] == "refuse"
    assert decision["reasons"][-1].endswith("the accuracy that its version records, 1.0000")
    assert decision["champion"]["accuracy"] is None
    assert "cache: damaged" in decision["champion"]["fault"]


def test_a_champion_that_is_no_model_is_a_stated_outcome(repo):
    gate.main()
    toy.put_model(repo, b"no model")
    judged = {"decision": "promote", "reasons": [], "challenger": {"md5": toy.md5(b"no model")}}
    Path("models/decision.json").write_text(json.dumps(judged))
    register.main()
    toy.put_model(repo, toy.model())
    assert decided()["champion"]["fault"].startswith("cannot be loaded and run:")


def test_a_challenger_that_is_no_model_is_an_error(repo):
    toy.put_model(repo, b"no model")
    with pytest.raises(StageError, match=r"model\.onnx: cannot be loaded and run: .* again"):
        gate.main()


def test_a_missing_figure_is_named(repo):
    Path("reports/evaluate/metrics/ensemble.json").write_text('{"accuracy": 1.0}')
    with pytest.raises(StageError) as caught:
        gate.main()
    assert str(caught.value) == (
        "reports/evaluate/metrics/ensemble.json: worst_class_recall must be a finite number; "
        "got None"
    )


def test_the_decision_is_the_same_bytes_twice(repo):
    gate.main()
    first = Path("models/decision.json").read_bytes()
    gate.main()
    assert Path("models/decision.json").read_bytes() == first
