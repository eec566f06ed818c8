"""What the end of a run says."""

import io
import json

import pytest

from flows import verdict
from flows.execute import CACHED, FAILED, NOT_RUN, RAN, RESTORED, Outcome

ALL = ("evaluate", "gate", "register", "report")
FILES = {
    "reports/evaluate/leaderboard.json": [
        {"model": "ensemble", "kind": "ensemble", "winner": True, "validation_accuracy": None,
         "test_accuracy": 0.9971, "low": 0.9958, "high": 0.998},
        {"model": "svm", "kind": "baseline", "validation_accuracy": 0.98,
         "test_accuracy": 0.985, "low": 0.98, "high": 0.99},
    ],
    "models/decision.json": {"decision": "promote", "reasons": ["every rule passed"]},
    "models/registration.json": {"version": "v0.0.1", "stage": "champion"},
}  # fmt: skip


@pytest.fixture
def root(tmp_path):
    for name, content in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(json.dumps(content))
    (tmp_path / "reports/index.html").touch()
    return tmp_path


def text(outcomes, root, seconds=None):
    out = io.StringIO()
    verdict.show(verdict.collect(outcomes, root, seconds), out)
    return out.getvalue()


def test_a_whole_run_ends_with_stages_scores_decision_version_and_report(root):
    outcomes = [Outcome("ingest", CACHED, 0.1), *(Outcome(name, RAN, 1.25) for name in ALL)]
    assert (
        text(outcomes, root, 12.34)
        == f"""
stage     state   seconds
ingest    Cached
evaluate  Ran         1.2
gate      Ran         1.2
register  Ran         1.2
report    Ran         1.2

model       kind      held out %  test %   95 % interval
ensemble *  ensemble               99.71  99.58 to 99.80
svm         baseline       98.00   98.50  98.00 to 99.00
* the winner, chosen by held-out training images

5 stages: 4 Ran, 1 Cached, 12.3 s
the ensemble is promoted: every rule passed
version v0.0.1, made champion
report: {root}/reports/index.html
"""
    )


def test_a_refusal_gives_each_reason(root):
    refusal = {"decision": "refuse", "reasons": ["accuracy is 0.9", "recall is 0.8"]}
    (root / "models/decision.json").write_text(json.dumps(refusal))
    (root / "models/registration.json").write_text('{"version": "v0.0.2", "stage": null}')
    lines = verdict.decision_lines(verdict.collect([Outcome(n, RAN) for n in ALL], root))
    assert lines == [
        "the ensemble is refused: accuracy is 0.9; recall is 0.8",
        "version v0.0.2",
    ]


def test_a_champion_that_would_be_refused_today_is_still_the_champion(root):
    refusal = {"decision": "refuse", "reasons": ["accuracy is 0.9"]}
    (root / "models/decision.json").write_text(json.dumps(refusal))
    lines = verdict.decision_lines(verdict.collect([Outcome(n, RAN) for n in ALL], root))
    assert lines[-1] == "version v0.0.1, still champion"


def test_a_model_that_passes_but_was_rolled_back_is_told_to_be_withheld(root):
    registration = {"version": "v0.0.2", "stage": None, "withheld": "v0.0.2 was rolled back"}
    (root / "models/registration.json").write_text(json.dumps(registration))
    lines = verdict.decision_lines(verdict.collect([Outcome(n, RAN) for n in ALL], root))
    assert lines[-1] == "but not made champion: v0.0.2 was rolled back"


def test_a_failed_run_shows_the_error_and_nothing_of_an_earlier_run(root):
    outcomes = [Outcome("ingest", FAILED, 2.0, "a\nerror: no"), Outcome("gate", NOT_RUN)]
    assert (
        text(outcomes, root)
        == """
stage   state    seconds
ingest  Failed       2.0
gate    not run

2 stages: 1 Failed, 1 not run

ingest failed; its last lines:
  a
  error: no
"""
    )


def test_a_file_that_a_stage_should_have_left_is_missed_by_name(root):
    (root / "reports/index.html").unlink()
    assert verdict.collect([Outcome("report", RAN)], root).missing == [
        "reports/index.html is missing, though its stage ended well"
    ]


def test_a_pipeline_without_these_stages_has_no_verdict_on_them(root):
    found = verdict.collect([Outcome("ingest", RAN)], root)
    assert (found.scores, found.decision, found.version, found.report) == ([], {}, {}, None)
    assert found.missing == []


@pytest.mark.parametrize("state", [RAN, RESTORED, CACHED])
def test_a_run_is_well_if_every_stage_is_up_to_date(state):
    assert verdict.is_well([Outcome("a", state)])


@pytest.mark.parametrize("state", [FAILED, NOT_RUN])
def test_a_run_with_a_stage_not_up_to_date_is_not_well(state):
    assert not verdict.is_well([Outcome("a", RAN), Outcome("b", state)])


def test_a_terminal_gets_the_same_words(root, monkeypatch):
    out = io.StringIO()
    out.isatty = lambda: True
    monkeypatch.setenv("NO_COLOR", "1")
    verdict.show(verdict.collect([Outcome("ingest", RAN, 1.0)], root), out)
    assert "ingest" in out.getvalue()
    assert out.getvalue().endswith("\n1 stages: 1 Ran\n")
