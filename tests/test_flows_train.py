"""The Prefect flow over a toy pipeline, on one server for all tests of this file."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
import toy_pipeline
from toy_pipeline import STAGES

# Raised inside DVC by a library of its own, and inside Prefect at import.
pytestmark = [pytest.mark.filterwarnings("ignore::DeprecationWarning")]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A Prefect server of its own; it takes some 10 s to start."""
    from flows import settings

    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.ENVIRONMENT.items():
            patch.setenv(name, value)
        patch.setenv("PREFECT_HOME", str(tmp_path_factory.mktemp("prefect")))
        from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
        from prefect.testing.utilities import prefect_test_harness

        with (
            prefect_test_harness(server_startup_timeout=120),
            temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}),
        ):
            yield


@pytest.fixture
def toy(tmp_path, monkeypatch):
    return toy_pipeline.make(tmp_path / "toy", monkeypatch)


@pytest.fixture
def train(server, toy, monkeypatch):
    """The flow: called with its parameters, it returns its state and its outcomes by name."""
    from flows import train as module

    monkeypatch.setattr(module, "RETRY_SECONDS", 0.01)
    return run_flow


@pytest.fixture(scope="module")
def whole(server, tmp_path_factory):
    """A first run and one after a change of `train`, for the tests that only look."""
    with pytest.MonkeyPatch.context() as patch:
        folder = toy_pipeline.make(tmp_path_factory.mktemp("whole") / "toy", patch)
        first = run_flow()
        change_epochs(folder)
        return folder, first, run_flow()


def run_flow(**parameters):
    from flows.train import train

    state = train(return_state=True, **parameters)
    outcomes = state.result(raise_on_failure=False)
    return state, {outcome.name: outcome.state for outcome in outcomes}


def change_epochs(folder):
    text = toy_pipeline.PARAMS.replace("epochs: 10 #", "epochs: 3 #")
    (folder / "params.yaml").write_text(text)


def task_runs(state):
    """Return the task runs of a flow run by name, once the server has them all."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter

    only = FlowRunFilter(id={"any_": [state.state_details.flow_run_id]})
    with get_client(sync_client=True) as client:
        for _ in range(100):  # states reach the server some 0.1 s after they are set
            runs = {run.name: run for run in client.read_task_runs(flow_run_filter=only)}
            settled = [r for r in runs.values() if r.state and r.state.name not in _ON_THE_WAY]
            if len(settled) == len(STAGES):
                return runs
            time.sleep(0.05)
    raise AssertionError(f"expected {len(STAGES)} settled task runs; got {runs}")


_ON_THE_WAY = ("Pending", "Running", "Retrying", "AwaitingRetry")


def test_the_first_run_runs_every_stage(whole):
    _, (state, outcomes), _ = whole
    assert (state.type.value, state.message) == ("COMPLETED", "8 stages: 8 Ran")
    assert outcomes == dict.fromkeys(STAGES, "Ran")


def test_after_a_change_only_what_depends_on_it_runs(whole):
    _, _, (state, outcomes) = whole
    assert (state.type.value, state.message) == ("COMPLETED", "8 stages: 3 Ran, 5 Cached")
    assert [name for name in STAGES if outcomes[name] == "Ran"] == ["train@a", "train@b", "train@c"]


def test_prefect_shows_a_task_run_for_each_stage_with_a_state_that_tells(whole):
    _, _, (state, outcomes) = whole
    assert {name: run.state.name for name, run in task_runs(state).items()} == outcomes


def test_prefect_shows_the_edges_of_dvcs_graph(whole, monkeypatch):
    from flows.graph import open_repo, read

    folder, (state, _), _ = whole
    monkeypatch.chdir(folder)
    runs = task_runs(state)
    names = {run.id: name for name, run in runs.items()}
    shown = {
        name: {names[source.id] for source in run.task_inputs.get("wait_for", [])}
        for name, run in runs.items()
    }
    assert shown == {name: {*stage.upstream} for name, stage in read(open_repo()).items()}


def test_after_the_flow_dvc_itself_finds_nothing_to_do(whole, monkeypatch):
    from flows.graph import open_repo

    monkeypatch.chdir(whole[0])
    assert open_repo().reproduce() == []


def test_after_dvc_itself_the_flow_finds_nothing_to_do(train):
    from flows.graph import open_repo

    open_repo().reproduce()
    assert train()[1] == dict.fromkeys(STAGES, "Cached")


def test_a_failed_stage_fails_the_run_and_what_follows_is_not_ready(train, toy):
    (toy / "fail.validate").touch()
    state, outcomes = train()
    assert state.type.value == "FAILED"
    assert state.message == "8 stages: 1 Ran, 1 Failed, 6 not run"
    assert outcomes["validate"] == "Failed"
    runs = task_runs(state)
    assert runs["validate"].state.message == "error: told to fail"
    shown = {name: run.state.name for name, run in runs.items()}
    after = [name for name in STAGES if name not in ("ingest", "validate")]
    assert shown == {"ingest": "Ran", "validate": "Failed", **dict.fromkeys(after, "NotReady")}


def test_after_a_failure_no_other_stage_starts(train, toy, monkeypatch):
    from flows import train as module

    monkeypatch.setattr(module, "slots", lambda: 1)
    (toy / "fail.train-a").touch()
    state, outcomes = train()
    not_run = ("train@b", "train@c", "baseline", "ensemble", "report")
    assert {name for name, ended in outcomes.items() if ended == "not run"} == {*not_run}
    assert task_runs(state)["baseline"].state.name == "NotRun"


def test_a_stage_whose_meta_says_so_is_tried_again(train, toy):
    (toy / "fail-once.ingest").touch()
    state, outcomes = train()
    assert outcomes["ingest"] == "Ran"
    assert task_runs(state)["ingest"].run_count == 2


def test_no_stage_is_tried_more_often_than_its_meta_says(train, toy):
    (toy / "fail.ingest").touch()
    state, outcomes = train()
    assert outcomes["ingest"] == "Failed"
    assert task_runs(state)["ingest"].run_count == 2


def test_a_stage_without_such_meta_is_tried_once(train, toy):
    (toy / "fail-once.validate").touch()
    state, outcomes = train()
    assert outcomes["validate"] == "Failed"
    assert task_runs(state)["validate"].run_count == 1


def test_files_that_another_process_holds_are_waited_for(train, monkeypatch):
    from flows import execute

    real, tries = execute.run, []

    def busy_twice(stage, root, say):
        if stage.name == "baseline" and len(tries) < 2:
            tries.append(stage.name)
            return execute.Outcome(stage.name, execute.BUSY, 0.5, "busy")
        return real(stage, root, say)

    monkeypatch.setattr(execute, "run", busy_twice)
    state, outcomes = train()
    assert outcomes == dict.fromkeys(STAGES, "Ran")
    assert task_runs(state)["baseline"].run_count == 3


def test_stages_that_wait_for_the_same_run_side_by_side(train, monkeypatch):
    from flows import execute
    from flows import train as module

    monkeypatch.setattr(module, "slots", lambda: 2)
    meeting = threading.Barrier(2, timeout=20)
    real = execute.run

    def meet(stage, root, say):
        if stage.name in ("train@a", "train@b"):
            meeting.wait()  # passes only if both are here at once
        return real(stage, root, say)

    monkeypatch.setattr(execute, "run", meet)
    assert train()[1] == dict.fromkeys(STAGES, "Ran")


def test_no_more_stages_run_at_once_than_there_are_cores(train, monkeypatch):
    from flows import execute
    from flows import train as module

    monkeypatch.setattr(module, "slots", lambda: 1)
    real, running, most = execute.run, [], []

    def count(stage, root, say):
        running.append(stage.name)
        most.append(len(running))
        outcome = real(stage, root, say)
        running.remove(stage.name)
        return outcome

    monkeypatch.setattr(execute, "run", count)
    train()
    assert max(most) == 1


def test_a_profile_is_written_before_the_run(train, toy):
    _, outcomes = train(profile_name="quick")
    assert "train@c" not in outcomes
    assert "epochs: 1 " in (toy / "params.yaml").read_text()


def test_the_lines_of_a_stage_stand_in_prefects_log(whole):
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import LogFilter

    _, (state, _), _ = whole
    run = task_runs(state)["train@a"]
    only = LogFilter(task_run_id={"any_": [run.id]})
    with get_client(sync_client=True) as client:
        for _ in range(100):  # the log is sent every 2 s
            lines = [log.message for log in client.read_logs(log_filter=only)]
            if len(lines) >= 3:
                break
            time.sleep(0.1)
    assert lines[:2] == ["why: never ran here", "train-a starts"]
    assert lines[2].startswith("Ran, ")


def test_the_stage_table_and_the_report_are_artifacts_of_the_run(whole):
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId

    folder, (state, _), _ = whole
    only = ArtifactFilter(
        flow_run_id=ArtifactFilterFlowRunId(any_=[state.state_details.flow_run_id])
    )
    with get_client(sync_client=True) as client:
        found = {item.key: item.data for item in client.read_artifacts(artifact_filter=only)}
    assert sorted(found) == ["report", "stages"]
    assert [row["stage"] for row in json.loads(found["stages"])] == STAGES
    assert (folder / "reports/index.html").as_uri() in found["report"]


def interrupt_while_a_stage_runs(toy, environment):
    """Start the command, send SIGTERM once `ingest` is running; return status and output."""
    (toy / "sleep.ingest").touch()
    run = subprocess.Popen(
        [sys.executable, "-m", "flows", "train"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)} | environment,
    )
    while not (pid := toy / "pid.ingest").exists() or not pid.read_text():
        assert run.poll() is None, run.communicate()
        time.sleep(0.05)
    family = psutil.Process(run.pid).children(recursive=True)
    assert int(pid.read_text()) in [child.pid for child in family]
    os.kill(run.pid, signal.SIGTERM)
    out, errors = run.communicate(timeout=60)
    assert psutil.wait_procs(family, timeout=10)[1] == []
    return run.returncode, out + errors


def test_a_run_that_is_told_to_end_leaves_no_process_and_no_traceback(server, toy):
    from prefect.settings import PREFECT_API_URL

    environment = {"PREFECT_API_URL": PREFECT_API_URL.value()}
    status, output = interrupt_while_a_stage_runs(toy, environment)
    assert status == 130
    assert output.endswith("interrupted: every stage that was running has been stopped\n")
    assert "Traceback" not in output


@pytest.mark.slow
def test_a_server_of_the_runs_own_ends_with_it(toy, tmp_path):
    """Ctrl-C once ended the server first: the run hung 80 s and ended in tracebacks."""
    environment = {"PREFECT_API_URL": "", "PREFECT_HOME": str(tmp_path / "prefect")}
    status, output = interrupt_while_a_stage_runs(toy, environment)
    assert status == 130
    assert output.endswith("interrupted: every stage that was running has been stopped\n")
    assert "Error" not in output
