"""What starts a training and what does not."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from flows import retraining
from flows.retraining import CORRECTION, DRIFT, Start, against, begin, correction, drift
from tasks.io.stage import StageError

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
DAY = timedelta(hours=24)
INPUT = drift("b2", "v0.0.1: input", ["input"])


def entry(cause, hours_ago, feedback="none"):
    time = (NOW - timedelta(hours=hours_ago)).isoformat(timespec="seconds")
    return {**cause._asdict(), "time": time, "feedback": feedback, "finished": True}


def started(cause):
    return f"started for {cause.reason}"


def test_a_cause_tells_what_people_want_to_know_in_one_line():
    assert (
        drift("a\nb", "v1: input", ["input", "labels"]).reason
        == "drift in batch a b: input, labels"
    )
    assert correction("x", 1).reason == "correction of 1 label: x"
    assert correction("x", 20).reason == "correction of 20 labels: x"


def test_the_first_cause_starts_a_training():
    assert against(INPUT, [], "none", DAY, NOW) == ""


def test_the_same_drift_starts_no_second_training_however_long_ago_it_was():
    assert against(INPUT, [entry(INPUT, 1000)], "none", DAY, NOW) == (
        "the same cause started a training at 2026-10-13 20:00Z (drift in batch b2: input), and no "
        "label was corrected since, so that another would learn nothing new"
    )


def test_the_same_drift_counts_again_once_labels_were_corrected():
    assert against(INPUT, [entry(INPUT, 1000)], "more", DAY, NOW) == ""


def test_another_drift_waits_for_the_cool_down():
    other = drift("b3", "v0.0.1: labels", ["labels"])
    assert against(other, [entry(INPUT, 23)], "none", DAY, NOW) == (
        "drift started a training at 2026-11-23 13:00Z (drift in batch b2: input); by "
        "monitor.cooldown in params.yaml the next may start 2026-11-24 13:00Z"
    )
    assert against(other, [entry(INPUT, 24)], "none", DAY, NOW) == ""


def test_a_correction_does_not_wait_for_the_cool_down_and_starts_none():
    made = correction("20261124-1", 20)
    assert against(made, [entry(INPUT, 0.1)], "more", DAY, NOW) == ""
    assert against(INPUT, [entry(made, 0.1)], "more", DAY, NOW) == ""


def test_one_correction_starts_one_training():
    made = correction("20261124-1", 20)
    assert against(made, [entry(made, 1)], "more", DAY, NOW) == (
        "20261124-1 has started a training at 2026-11-24 11:00Z"
    )


def test_a_start_is_remembered_with_its_reason(tmp_path):
    assert begin(INPUT, started, 24, tmp_path) == Start(
        True, "started for drift in batch b2: input"
    )
    (kept,) = json.loads((tmp_path / retraining.STATE).read_text())["starts"]
    assert datetime.now(UTC) - datetime.fromisoformat(kept.pop("time")) < timedelta(minutes=1)
    assert kept == {
        "kind": DRIFT,
        "text": "v0.0.1: input",
        "reason": "drift in batch b2: input",
        "about": "b2",
        "feedback": retraining.feedback_state(tmp_path),
        "started": "started for drift in batch b2: input",
        "finished": True,
    }


def test_what_is_refused_says_so_and_starts_nothing(tmp_path):
    begin(INPUT, started, 24, tmp_path)
    before = (tmp_path / retraining.STATE).read_bytes()
    again = begin(INPUT, lambda _: pytest.fail("started"), 24, tmp_path)
    assert not again.starts
    assert again.text.startswith("nothing: the same cause started a training at ")
    assert (tmp_path / retraining.STATE).read_bytes() == before


def test_what_could_not_be_started_is_told_and_not_remembered(tmp_path):
    def fail(_):
        raise StageError("no server")

    assert begin(INPUT, fail, 24, tmp_path) == Start(False, "nothing: no server")
    assert begin(INPUT, started, 24, tmp_path).starts


def test_accepted_feedback_makes_the_same_drift_a_cause_again(tmp_path):
    begin(INPUT, started, 0, tmp_path)
    assert not begin(INPUT, started, 0, tmp_path).starts
    (tmp_path / "data/feedback").mkdir(parents=True)
    (tmp_path / "data/feedback/20261124T120000-0123abcd.dvc").touch()
    assert begin(INPUT, started, 0, tmp_path).starts


def test_a_training_that_this_process_has_to_run_is_due_until_it_has_run(tmp_path):
    begin(INPUT, started, 24, tmp_path, finished=False)
    begin(correction("x", 2), started, 24, tmp_path)
    assert [each["about"] for each in retraining.unfinished(tmp_path)] == ["b2"]
    retraining.finish(tmp_path)
    assert retraining.unfinished(tmp_path) == []


def test_only_the_last_starts_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(retraining, "KEPT", 2)
    for number in range(3):
        begin(correction(f"f{number}", 1), started, 24, tmp_path)
    kept = json.loads((tmp_path / retraining.STATE).read_text())["starts"]
    assert [(each["kind"], each["about"]) for each in kept] == [
        (CORRECTION, "f1"),
        (CORRECTION, "f2"),
    ]
