"""The gate: the decision as a pure function, and the stage on real models."""

import json
import os
from pathlib import Path

import gate_simulation
import pytest
import toy_data
import toy_registry as toy

from tasks import gate, register
from tasks.core.comparison import Comparison, Interval
from tasks.core.decision import Champion, Decision, Fitness, Scores, Thresholds, decide
from tasks.io import fitness, known_batch, registry
from tasks.io.stage import StageError

FLOORS = Thresholds(
    min_accuracy=0.99,
    min_class_recall=0.98,
    max_calibration_error=0.01,
    max_log_loss=0.05,
    max_export_gap=0.0005,
    max_answer_gap=0.0001,
    max_megabytes=20,
    max_milliseconds=10,
    margin=0.002,
    corruption_margin=0.01,
    level=0.95,
)
SCORES = Scores(
    accuracy=0.997, worst_class_recall=0.99, expected_calibration_error=0.002, log_loss=0.01
)
FIT = Fitness(gap=0.0, load_seconds=0.1, milliseconds=1.0, size=7_000_000)
EQUAL = Comparison("equal", 12, 10, 0.83, 0.0002, -0.0007, 0.0011)
ALIKE = Interval(0.0, -0.004, 0.004)


def decided_on(champion: Champion | None = None, **changed: object) -> Decision:
    """Decide on a good challenger in which some figures are ``changed``."""
    scores = Scores(**vars(SCORES) | {k: v for k, v in changed.items() if k in vars(SCORES)})
    fit = FIT._replace(**{k: v for k, v in changed.items() if k in FIT._fields})
    return decide(scores, changed.get("exported", scores.accuracy), fit, champion, FLOORS)


def beside(**changed: object) -> Champion:
    """Return a champion that the challenger equals, but for what is ``changed``."""
    return Champion("v0.0.3", EQUAL._replace(**changed), ALIKE)


def test_a_challenger_above_every_floor_is_promoted_where_there_is_no_champion():
    assert decided_on().as_dict() == {
        "decision": "promote",
        "reasons": ["passes every rule; there is no champion yet"],
        "rules": [
            rule("accuracy, at least", 0.997, 0.99),
            rule("worst class recall, at least", 0.99, 0.98),
            rule("calibration error, at most", 0.002, 0.01),
            rule("log loss, at most", 0.01, 0.05),
            rule("gap between the artifact's and the evaluated accuracy, at most", 0.0, 0.0005),
            rule("gap in probability to the recorded answers, at most", 0.0, 0.0001),
            rule("megabytes of the artifact, at most", 7.0, 20),
            rule("milliseconds for one image, at most", 1.0, 10),
        ],
    }


def rule(name: str, value: float, threshold: float, passed: bool = True) -> dict:
    return {"rule": name, "value": value, "threshold": threshold, "passed": passed}


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"accuracy": 0.9899}, "accuracy is 0.9899, must be at least 0.99"),
        ({"worst_class_recall": 0.97}, "worst class recall is 0.9700, must be at least 0.98"),
        (
            {"expected_calibration_error": 0.02},
            "calibration error is 0.0200, must be at most 0.01",
        ),
        ({"log_loss": 0.06}, "log loss is 0.0600, must be at most 0.05"),
        (
            {"exported": 0.990},
            "gap between the artifact's and the evaluated accuracy is 0.0070, "
            "must be at most 0.0005",
        ),
        (
            {"gap": 0.25},
            "gap in probability to the recorded answers is 0.2500, must be at most 0.0001",
        ),
        ({"size": 21_000_000}, "megabytes of the artifact is 21.0000, must be at most 20"),
        ({"milliseconds": 11.0}, "milliseconds for one image is 11.0000, must be at most 10"),
    ],
)
def test_one_missed_floor_refuses_and_says_which(changed, reason):
    decision = decided_on(**changed)
    assert (decision.decision, decision.reasons) == ("refuse", (reason,))


def test_figures_exactly_on_their_floors_pass():
    on_the_floors = vars(Scores(0.99, 0.98, 0.01, 0.05)) | FIT._replace(gap=0.0001)._asdict()
    assert decided_on(**on_the_floors).decision == "promote"


def test_an_equal_challenger_is_promoted_with_the_evidence_in_words():
    decision = decided_on(beside())
    assert decision.decision == "promote"
    assert decision.reasons == (
        "equal to champion v0.0.3: +0.02 points (-0.07 to +0.11), 12 images won, 10 lost, p = 0.83",
    )


@pytest.mark.parametrize(("low", "decision"), [(-0.002, "promote"), (-0.0021, "refuse")])
def test_the_lower_end_may_lack_the_margin_and_no_more(low, decision):
    assert decided_on(beside(low=low)).decision == decision


def test_a_challenger_that_may_be_worse_by_more_than_the_margin_is_refused():
    decision = decided_on(beside(low=-0.0024))
    assert decision.reasons[0] == (
        "accuracy minus the champion's, lower end is -0.0024, must be at least -0.002"
    )


def test_a_challenger_that_is_surely_worse_is_refused_even_within_the_margin():
    worse = {"word": "worse", "p_value": 0.01, "difference": -0.001, "low": -0.0017}
    decision = decided_on(beside(**worse))
    assert decision.decision == "refuse"
    assert decision.reasons[0] == (
        "p-value if behind the champion is 0.0100, must be at least 0.05"
    )
    assert decision.reasons[1].startswith("worse than champion v0.0.3: -0.10 points")


def test_a_challenger_that_is_surely_better_is_promoted_as_superior():
    better = {"word": "superior", "p_value": 0.001, "difference": 0.002, "low": 0.001}
    decision = decided_on(beside(**better))
    assert decision.decision == "promote"
    assert decision.reasons[0].startswith("superior to champion v0.0.3: +0.20 points")


def test_a_challenger_that_breaks_on_corrupted_images_is_refused():
    fragile = Champion("v0.0.3", EQUAL, Interval(-0.03, -0.04, -0.02))
    decision = decided_on(fragile)
    assert decision.decision == "refuse"
    assert decision.reasons[0] == (
        "accuracy on corrupted images minus the champion's, lower end is -0.0400, "
        "must be at least -0.01"
    )


def test_a_champion_that_cannot_be_scored_is_not_replaced_and_the_ways_on_are_told():
    decision = decided_on(Champion("v0.0.3", fault="lost"))
    assert decision.decision == "refuse"
    assert decision.reasons == (
        "champions that could be scored is 0.0000, must be at least 1",
        "champion v0.0.3 could not be scored: lost. Bring its file back into DVC's cache "
        "or remote and let it be judged again (python -m flows promote VERSION), return to an "
        "earlier champion (python -m flows rollback), or replace it for a reason of your own "
        "(python -m flows promote VERSION --force --reason TEXT)",
    )


@pytest.mark.parametrize("name", ["equal, alike", "equal, unlike"])
def test_of_two_equally_good_models_few_are_called_different(name):
    found = gate_simulation.simulate(world(name))
    assert found["superior"] + found["worse"] <= 0.05 * gate_simulation.TRIALS


@pytest.mark.parametrize("name", ["worse by 0.3 points, alike", "worse by 0.3 points, unlike"])
def test_a_challenger_worse_by_three_tenths_of_a_point_is_refused(name):
    assert gate_simulation.simulate(world(name))["promoted"] <= 0.05 * gate_simulation.TRIALS


def world(start: str) -> gate_simulation.World:
    return next(world for world in gate_simulation.WORLDS if world.name.startswith(start))


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
    assert decision["reasons"][-1].startswith("equal to champion v0.0.1: -10.00 points (")
    beside = decision["comparison"]
    assert (beside["only_challenger"], beside["only_champion"], beside["p_value"]) == (0, 2, 0.5)
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
    assert decision["comparison"] is None
    assert decision["champion"]["accuracy"] is None
    assert "cache: damaged" in decision["champion"]["fault"]


def test_a_champion_that_is_damaged_in_the_cache_is_told_even_if_the_challenger_is_the_same(repo):
    gate.main()
    register.main()
    cached = toy.cache_file(repo, toy.md5(toy.model()))
    cached.chmod(0o644)
    cached.write_bytes(b"garbage")
    decision = decided()
    assert decision["decision"] == "refuse"
    assert "cache: damaged" in decision["champion"]["fault"]


def test_a_champion_that_is_no_model_is_a_stated_outcome(repo):
    gate.main()
    toy.put_model(repo, b"no model")
    judged = {"decision": "promote", "reasons": [], "challenger": {"md5": toy.md5(b"no model")}}
    Path("models/decision.json").write_text(json.dumps(judged))
    register.main()
    toy.put_model(repo, toy.model())
    assert decided()["champion"]["fault"].startswith("cannot be loaded and run:")


GARMENTS = tuple("abcdefghij")


@pytest.fixture
def other_data(repo: Path) -> Path:
    """Let the data of today have other classes than the champion's, as many."""
    gate.main()
    register.main()
    toy_data.write(repo, toy_data.told(0, 20, classes=GARMENTS))
    toy.put_model(repo, toy.model(worse=1))
    return repo


def test_a_champion_of_other_classes_is_a_stated_outcome_and_the_way_on_is_told(other_data):
    decision = decided()
    assert decision["decision"] == "refuse"
    assert decision["reasons"][-1] == (
        "champion v0.0.1 cannot stand beside it: it tells 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 apart, "
        "today's classes are a, b, c, d, e, f, g, h, i, j. Give these classes a champion of their "
        "own by another name for register.stage in params.yaml, or replace it (python -m flows "
        "promote VERSION --force --reason TEXT)"
    )
    assert (decision["champion"]["accuracy"], decision["comparison"]) == (None, None)


def test_other_classes_have_a_champion_of_their_own(other_data):
    place = Path("params.yaml")
    place.write_text(place.read_text().replace("stage: champion", "stage: other-champion"))
    toy.write_figures(other_data, accuracy=0.9)
    assert (decided()["decision"], decided()["champion"]) == ("promote", None)
    register.main()
    toy.put_model(other_data, toy.model(worse=2))
    assert decided()["champion"]["accuracy"] == 0.9  # its version records its classes


def test_a_version_of_other_classes_is_not_judged_on_todays_images(other_data):
    version = registry.get(other_data, "digits", "v0.0.1")
    with pytest.raises(StageError, match=r"^digits@v0\.0\.1 cannot be judged on today's test im"):
        gate.judge_version(other_data, version)


def test_a_model_that_answers_fewer_classes_than_there_are_is_an_error(repo):
    toy_data.write(repo, toy_data.told(0, 20, classes=(*GARMENTS, "k")))
    with pytest.raises(
        StageError, match=r"expected finite probabilities \(20, 11\); got \(20, 10\)"
    ):
        gate.main()


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


def test_two_decisions_on_the_same_differ_in_nothing_but_the_times_taken(repo):
    gate.main()
    register.main()
    toy.put_model(repo, toy.model(worse=1))
    first, second = decided(), decided()
    for decision in (first, second):
        for timed in ("load_seconds", "milliseconds"):
            decision["fitness"].pop(timed)
        decision["rules"] = [r for r in decision["rules"] if "milliseconds" not in r["rule"]]
    assert first == second


def test_the_champion_is_scored_anew_and_its_stored_figures_count_for_nothing(repo):
    toy.write_figures(repo, accuracy=0.95)  # what the version will record
    gate.main()
    register.main()
    toy.put_model(repo, toy.model(worse=1))
    assert decided()["champion"]["accuracy"] == 1.0


def test_the_decision_tells_the_accuracy_of_both_on_every_corruption(repo):
    gate.main()
    register.main()
    toy.put_model(repo, toy.model(worse=4))
    robustness = decided()["robustness"]
    assert (robustness["images"], len(robustness["kinds"])) == (10, 11)
    assert robustness["accuracy"] < robustness["champion"]
    assert robustness["interval"]["difference"] == pytest.approx(
        robustness["accuracy"] - robustness["champion"]
    )
    fading = robustness["kinds"]["fading"]
    assert fading["severities"] == [0.6, 0.4, 0.2]
    assert fading["champion"] == [1.0, 1.0, 1.0]  # a lit row is lit, however faint


def test_the_decision_tells_which_reviews_of_labels_both_were_trained_with(repo):
    gate.main()
    register.main()
    toy.put_model(repo, toy.model(worse=1))
    toy.write_reviews(repo, correct=3)
    decision = decided()
    assert decision["champion"]["reviews"]["correct"] == 0
    assert decision["challenger"]["reviews"]["correct"] == 3


def test_an_artifact_whose_answers_are_not_the_recorded_ones_is_refused(repo):
    batch = known_batch.load()
    changed = batch._replace(probabilities=batch.probabilities[::-1])
    known_batch.save(known_batch.FILE, changed)
    decision = decided()
    assert decision["decision"] == "refuse"
    assert decision["reasons"][0].startswith(
        "gap in probability to the recorded answers is 1.0000,"
    )


def test_an_artifact_that_a_fresh_process_cannot_load_is_an_error(repo, monkeypatch):
    monkeypatch.setattr(fitness, "_MODULE", "tasks.io.gone")
    with pytest.raises(StageError, match=r"a fresh process cannot load and run it: .*gone"):
        gate.main()


def test_a_clone_without_the_test_images_is_told_how_to_get_them(repo):
    gate.main()
    register.main()
    (repo / "data/ingest/test_labels.npy").unlink()
    version = registry.champion(repo, "digits", "champion")
    with pytest.raises(StageError, match=r"expected the test images here, to judge v0.0.1 .* pull"):
        gate.judge_version(repo, version)


def test_a_registered_version_is_judged_by_its_own_figures_beside_todays_champion(repo):
    gate.main()
    register.main()
    toy.put_model(repo, toy.model(worse=1))
    toy.write_figures(repo, accuracy=0.9)
    gate.main()
    register.main()
    toy.write_figures(repo, accuracy=0.2)  # of a model that came later
    second = registry.find(repo, "digits", toy.md5(toy.model(worse=1)))
    decision = gate.judge_version(repo, second)
    assert decision["rules"][0]["value"] == 0.9
    assert decision["champion"]["version"] == "v0.0.1"
    assert decision["decision"] == "refuse"
