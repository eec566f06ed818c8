"""What follows an alarm, with stand-ins for the monitor and for who starts a training."""

import json
from pathlib import Path

import pytest
import toy_serving

from flows import alarms, retraining
from flows.alarms import Answer
from flows.monitoring import Judged
from tasks.io.files import write_json
from tasks.io.stage import StageError

ALERT = {"what": "darker", "sure": "99 %", "cost": "2 points", "look": "the page", "started": ""}


def judged(name, *kinds):
    report = Path(f"reports/monitoring/{name}/index.html")
    return Judged(name, bool(kinds), list(kinds), f"v0.0.1: {kinds}", {**ALERT}, report)


@pytest.fixture
def noted(monkeypatch):
    """What was written back to the reports, by batch."""
    notes = {}
    monkeypatch.setattr(
        alarms.monitoring, "note_started", lambda root, name, text: notes.update({name: text})
    )
    return notes


def start(cause):
    return f"training for {cause.about}"


def follow(root, batches, how=None):
    said = []
    how = how or Answer(start, True, 24, None)
    return list(alarms.follow(iter(batches), how, said.append, root)), said


def test_an_alarm_starts_a_training_and_its_report_says_so(tmp_path, noted):
    (quiet, alarmed), said = follow(tmp_path, [judged("b1"), judged("b2", "input")])
    assert quiet.alert["started"] == ""
    assert alarmed.alert == ALERT | {"started": "training for b2"}
    assert (noted, said) == ({"b2": "training for b2"}, [])
    (kept,) = json.loads((tmp_path / retraining.STATE).read_text())["starts"]
    assert (kept["reason"], kept["finished"]) == ("drift in batch b2: input", True)


def test_the_second_alarm_of_one_cause_starts_nothing_and_says_why(tmp_path, noted):
    (_, second), _ = follow(tmp_path, [judged("b1", "input"), judged("b2", "input")])
    assert second.alert["started"].startswith("nothing: the same cause started a training at ")
    assert noted["b2"] == second.alert["started"]


def test_each_alarm_is_answered_before_the_next_batch_is_judged(tmp_path, noted):
    def batches():
        yield judged("b1", "input")
        assert "b1" in noted
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        follow(tmp_path, batches())


def test_an_alarm_that_was_not_answered_before_the_monitor_died_is_answered_next(tmp_path, noted):
    for time, name, started in (("2", "b2", ""), ("1", "b1", ""), ("0", "b0", "training x")):
        content = {"batch": name, "time": time, "alarm": True, "kinds": [name], "cause": name}
        content["alert"] = ALERT | {"started": started}
        write_json(tmp_path / f"reports/monitoring/{name}/report.json", content)
    found, _ = follow(tmp_path, [judged("b3")])
    assert [each.name for each in found] == ["b1", "b2", "b3"]
    assert noted["b1"] == "training for b1"
    assert found[0].report == tmp_path / "reports/monitoring/b1/index.html"


def test_without_a_server_a_person_is_told_how_to_start_one(tmp_path, noted, monkeypatch):
    monkeypatch.setenv("PREFECT_API_URL", "")
    params(tmp_path, monkeypatch)
    (only,), _ = follow(tmp_path, [judged("b1", "input")], alarms.answer())
    assert only.alert["started"] == (
        "nothing: no Prefect server is named by PREFECT_API_URL that would start a training "
        "(make serve); start one by `make run`, or let the monitor do it: "
        "python -m flows monitor --train"
    )
    assert not (tmp_path / retraining.STATE).exists()


def test_without_a_server_the_monitor_may_train_itself_by_the_same_rules(
    tmp_path, noted, monkeypatch
):
    monkeypatch.setenv("PREFECT_API_URL", "")
    params(tmp_path, monkeypatch)
    batches = [judged("b1", "input"), judged("b2", "input")]
    (first, second), _ = follow(tmp_path, batches, alarms.answer(train=True))
    assert first.alert["started"] == "a training in this process, once all batches are judged"
    assert second.alert["started"].startswith("nothing: the same cause")
    assert [each["about"] for each in retraining.unfinished(tmp_path)] == ["b1"]


def params(root, monkeypatch):
    monkeypatch.chdir(root)
    (root / "params.yaml").write_text(toy_serving.params())


def test_people_are_told_all_of_the_alert(tmp_path, noted, monkeypatch):
    sent = []

    def notify(*arguments):
        sent.append(arguments)
        return "team"

    monkeypatch.setattr(alarms.notify, "notify", notify)
    _, said = follow(tmp_path, [judged("b1", "input")], Answer(start, True, 24, "env:HOOK"))
    text = (
        "what happened: darker\nhow sure: 99 %\nwhat it costs: 2 points\n"
        "what to look at: the page\nwhat was started: training for b1"
    )
    content = {
        "batch": "b1",
        "kinds": ["input"],
        **ALERT,
        "started": "training for b1",
        "report": "reports/monitoring/b1/index.html",
    }
    assert sent == [("env:HOOK", "Digitline: drift in batch b1: input", text, content)]
    assert said == ["b1: told team"]


def test_a_message_that_fails_is_told_and_changes_nothing(tmp_path, noted, monkeypatch):
    def notify(*_):
        raise StageError("monitor.notify: host took no message: 403")

    monkeypatch.setattr(alarms.notify, "notify", notify)
    _, said = follow(tmp_path, [judged("b1", "input")], Answer(start, True, 24, "env:HOOK"))
    assert said == ["b1: nobody was told: monitor.notify: host took no message: 403"]
    assert noted == {"b1": "training for b1"}


def test_two_monitors_do_not_work_at_once(tmp_path):
    with alarms.alone(tmp_path):
        with pytest.raises(StageError) as error, alarms.alone(tmp_path):
            pass
        assert str(error.value) == (
            "another monitor is at work in this clone; what it does not take up, the next does"
        )
    with alarms.alone(tmp_path):
        pass
