"""One stage run by DVC: how it ended, and every line that it printed."""

import json
import os
import subprocess
import threading
import time

import pytest
import toy_pipeline

from flows import execute, graph
from flows.execute import BUSY, CACHED, FAILED, RAN, RESTORED, Outcome
from flows.graph import Stage

# Raised inside DVC by a library of its own.
pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")

INGEST = Stage("ingest", (), ())


@pytest.fixture
def toy(tmp_path, monkeypatch):
    folder = toy_pipeline.make(tmp_path / "toy", monkeypatch)
    with execute.caught_output(folder):
        yield folder


def run(root, stage=INGEST):
    lines = []
    outcome = execute.run(stage, root, lines.append)
    return outcome, lines


def test_a_stage_that_runs_says_so_and_its_lines_are_passed_on(toy):
    outcome, lines = run(toy)
    assert (outcome.state, lines) == (RAN, ["why: never ran here", "ingest starts"])
    assert (toy / "data/ingest").read_text() == "ingest"


def test_a_stage_without_a_change_is_cached_and_silent(toy):
    run(toy)
    outcome, lines = run(toy)
    assert (outcome.state, lines) == (CACHED, [])


def test_a_stage_whose_result_dvc_has_from_before_is_restored(toy):
    run(toy)
    (toy / "data/ingest").unlink()
    (toy / "dvc.lock").unlink()
    outcome, lines = run(toy)
    assert (outcome.state, lines) == (RESTORED, ["why: never ran here"])
    assert (toy / "data/ingest").read_text() == "ingest"


def test_a_failed_stage_keeps_its_last_lines(toy):
    (toy / "fail.ingest").touch()
    outcome, _ = run(toy)
    assert (outcome.state, outcome.error) == (FAILED, "ingest starts\nerror: told to fail")


def test_a_command_that_cannot_start_is_a_failure_with_the_shells_words(toy):
    text = (toy / "dvc.yaml").read_text()
    (toy / "dvc.yaml").write_text(text.replace("python step.py ingest", "nowhere ingest"))
    outcome, lines = run(toy)
    assert outcome.state == FAILED
    assert lines == ["why: never ran here", *outcome.error.splitlines()]
    assert "nowhere" in lines[1]
    assert "not found" in lines[1]


def test_a_missing_dependency_is_a_failure_with_dvcs_words(toy):
    outcome, _ = run(toy, Stage("validate", (), ()))
    assert (outcome.state, outcome.error) == (
        FAILED,
        f"[Errno 2] No such file or directory: '{toy}/data/ingest'",
    )


def test_files_that_another_process_holds_are_a_busy_stage(toy):
    other = {"pid": os.getppid(), "cmd": "dvc repro"}
    lock = {"write": {str(toy / "data/ingest"): other}, "read": {}}
    (toy / ".dvc/tmp").mkdir(exist_ok=True)
    (toy / ".dvc/tmp/rwlock").write_text(json.dumps(lock))
    outcome, _ = run(toy)
    assert outcome.state == BUSY
    assert "is busy, it is being blocked by" in outcome.error


def test_python_in_a_command_is_the_interpreter_that_runs_the_flow(toy, monkeypatch):
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    text = (toy / "step.py").read_text()
    (toy / "step.py").write_text("import dvc\n" + text)
    assert run(toy)[0].state == RAN


def test_every_line_is_passed_on_once_while_the_file_grows(tmp_path):
    log, lines = tmp_path / "log", []
    with execute.follow(log, lines.append, pause=0.001), log.open("w") as file:
        for part in ("one\ntw", "o\n", "\n10 %\r20 %\nlast"):
            file.write(part)
            file.flush()
            time.sleep(0.02)
    assert lines == ["one", "two", "20 %", "last"]


def test_a_log_that_never_appears_passes_nothing_on(tmp_path):
    lines = []
    with execute.follow(tmp_path / "log", lines.append, pause=0.001):
        pass
    assert lines == []


def test_stopping_ends_the_commands_of_stages_and_no_other_process(toy):
    (toy / "sleep.ingest").touch()
    other = subprocess.Popen(["sleep", "60"])
    outcomes = []
    thread = threading.Thread(target=lambda: outcomes.append(run(toy)[0]))
    thread.start()
    while not (toy / "pid.ingest").exists():
        time.sleep(0.02)
    execute.stop(lambda: not thread.is_alive())
    thread.join()
    assert other.poll() is None
    other.kill()
    other.wait()
    assert [outcome.state for outcome in outcomes] == [FAILED]


def test_the_shell_of_the_environment_is_as_before_afterwards(tmp_path, monkeypatch):
    monkeypatch.setenv("SHELL", "/bin/mine")
    with execute.caught_output(tmp_path):
        assert os.environ["SHELL"] == str(tmp_path / ".dvc/tmp/digitline/shell")
    assert os.environ["SHELL"] == "/bin/mine"


def test_an_environment_without_a_shell_stays_without_one(tmp_path, monkeypatch):
    monkeypatch.delenv("SHELL", raising=False)
    with execute.caught_output(tmp_path):
        pass
    assert "SHELL" not in os.environ


def test_only_the_durations_of_stages_that_ran_are_kept(toy):
    execute.keep_durations(toy, [Outcome("a", RAN, 2.0), Outcome("b", RAN, 1.0)])
    execute.keep_durations(toy, [Outcome("a", RAN, 3.123), Outcome("b", CACHED, 0.1)])
    assert execute.durations(toy) == {"a": 3.12, "b": 1.0}


def test_unknown_durations_are_empty(toy):
    assert execute.durations(toy) == {}


def test_after_the_stages_dvc_itself_finds_nothing_to_do(toy):
    for stage in graph.read(graph.open_repo()).values():
        assert run(toy, stage)[0].state == RAN
    assert graph.open_repo().reproduce() == []
