"""`python -m flows monitor` as a person calls it, over the toy pipeline."""

import json
import os
import subprocess
import sys

import pytest
import toy_serving
from toy_serving import arrive


@pytest.fixture
def clone(tmp_path, monkeypatch):
    monkeypatch.setenv("PREFECT_API_URL", "")
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
    return toy_serving.make(tmp_path / "toy", monkeypatch)


def monitor(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "flows", "monitor", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ,
    )


def started(clone, batch):
    report = clone / f"reports/monitoring/{batch}/report.json"
    return json.loads(report.read_text())["alert"]["started"]


def test_batches_are_judged_in_order_and_an_alarm_is_told_in_full(clone):
    arrive(clone, "b1")
    arrive(clone, "b2", ["input", "labels"])
    done = monitor()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "b1: judged",
        "b1: nothing new",
        "b2: judged",
        "b2: alarm: input, labels",
        "  what happened: b2 differs",
        "  how sure: 99 %",
        "  what it costs: 2 points",
        "  what to look at: page",
        f"  what was started: {started(clone, 'b2')}",
    ]
    assert started(clone, "b2").startswith("nothing: no Prefect server is named")
    assert monitor().stdout == ""


def test_a_monitor_that_died_is_caught_up_in_order_by_the_next(clone):
    for name in ("b1", "b2", "b3"):
        arrive(clone, name)
    (clone / "die.b2").touch()
    assert monitor().returncode == 130
    assert monitor().stdout.splitlines() == [
        *("b2: judged", "b2: nothing new"),
        *("b3: judged", "b3: nothing new"),
    ]


def test_what_arrived_since_a_batch_is_judged_again_when_asked_to(clone):
    for name in ("b1", "b2", "b3"):
        arrive(clone, name)
    monitor()
    assert monitor("--since", "b2").stdout.splitlines()[::2] == ["b2: judged", "b3: judged"]


def test_an_alarm_fails_the_command_only_if_asked_to(clone):
    arrive(clone, "b1", ["input"])
    assert monitor("--fail-on-alarm").returncode == 3


@pytest.mark.slow
def test_without_a_server_the_monitor_trains_itself_once(clone):
    arrive(clone, "b1", ["input"])
    arrive(clone, "b2", ["input"])
    done = monitor("--train")
    assert done.returncode == 0, done.stderr
    assert "8 stages: 8 Ran" in done.stdout
    assert started(clone, "b1") == "a training: 8 stages: 8 Ran"
    assert started(clone, "b2").startswith("nothing: the same cause started a training at ")
    (line,) = (clone / "reports/trainings.jsonl").read_text().splitlines()
    assert json.loads(line)["reason"] == "drift in batch b1: input"
    arrive(clone, "b3", ["labels"])
    assert "by monitor.cooldown in params.yaml the next may start" in monitor("--train").stdout
