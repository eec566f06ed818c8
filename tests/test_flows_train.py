"""The Prefect flow over a toy pipeline, on one server for all tests of this file."""

import json
import logging
import os
import re
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

from tasks.io.stage import StageError

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
    folder, (state, _), _ = whole
    found = artifacts(state)
    assert sorted(found) == ["report", "stages"]
    assert [row["stage"] for row in json.loads(found["stages"])] == STAGES
    assert (folder / "reports/index.html").as_uri() in found["report"]


def artifacts(state):
    """Return the data of a flow run's artifacts by key."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId

    only = ArtifactFilter(
        flow_run_id=ArtifactFilterFlowRunId(any_=[state.state_details.flow_run_id])
    )
    with get_client(sync_client=True) as client:
        return {item.key: item.data for item in client.read_artifacts(artifact_filter=only)}


def test_a_reason_is_in_the_runs_name_its_artifacts_and_beside_the_results(train, toy):
    from prefect.client.orchestration import get_client

    reason = "drift in batch b2: input"
    state, _ = train(reason=reason)
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(state.state_details.flow_run_id)
    assert run.name.endswith(f": {reason}")
    assert artifacts(state)["reason"] == reason
    (line,) = (toy / "reports/trainings.jsonl").read_text().splitlines()
    assert json.loads(line) | {"time": ""} == {
        "time": "",
        "reason": reason,
        "stages": "8 stages: 8 Ran",
        "decision": None,
        "version": None,
    }


def test_a_run_without_a_reason_has_prefects_name_and_leaves_no_line(whole):
    folder, (state, _), _ = whole
    assert "reason" not in artifacts(state)
    assert not (folder / "reports/trainings.jsonl").exists()


def test_a_stage_that_was_told_to_stop_is_not_tried_again(toy, monkeypatch):
    from flows import execute, graph
    from flows.train import _Run

    with graph.open_repo() as repo:
        run = _Run(graph.read(repo), toy)

    def told_to_stop(stage, root, say):
        run._interrupted.set()
        return execute.Outcome(stage.name, execute.FAILED, 0.5, "terminated")

    monkeypatch.setattr(execute, "run", told_to_stop)
    monkeypatch.setattr("flows.train.get_run_logger", lambda: logging.getLogger("test"))
    assert run._attempt("ingest").state == execute.NOT_RUN


ALERT = {"what": "darker", "sure": "99 %", "cost": "2 points", "look": "the page", "started": ""}


def watched(monkeypatch, *batches):
    """Run the flow `monitor` over batches that are judged already; return its state."""
    from flows import alarms, monitoring
    from flows.monitor import monitor

    def watch(root, *, since, names, say):
        for batch in batches:
            if isinstance(batch, Exception):
                raise batch
            name, *kinds = batch.split()
            page = Path(f"reports/monitoring/{name}/index.html")
            yield monitoring.Judged(name, bool(kinds), kinds, batch, {**ALERT}, page)

    answer = alarms.Answer(lambda cause: f"training for {cause.about}", True, 24, None)
    monkeypatch.setattr(alarms, "answer", lambda: answer)
    monkeypatch.setattr(monitoring, "watch", watch)
    monkeypatch.setattr(monitoring, "note_started", lambda *_: None)
    return monitor(return_state=True)


def test_the_monitor_shows_its_batches_and_each_alarm_in_full(server, toy, monkeypatch):
    state = watched(monkeypatch, "b1", "b2 input labels")
    assert (state.type.value, state.message) == (
        "COMPLETED",
        "2 batches, 1 alarm: b2 (input, labels)",
    )
    found = artifacts(state)
    assert sorted(found) == ["alert", "alert-page", "batches"]
    rows = json.loads(found["batches"])
    assert [(row["batch"], row["alarm"], row["started"]) for row in rows] == [
        ("b1", "no", ""),
        ("b2", "input, labels", "training for b2"),
    ]
    assert found["alert"].startswith("## b2: input, labels\n\n**what happened**: darker\n\n")
    assert (toy / "reports/monitoring/b2/index.html").as_uri() in found["alert-page"]


def test_a_monitor_that_cannot_go_on_fails_with_the_words_and_shows_what_it_judged(
    server, toy, monkeypatch
):
    state = watched(monkeypatch, "b1", StageError("b2: no champion; run `make run`"))
    assert (state.type.value, state.message) == ("FAILED", "b2: no champion; run `make run`")
    assert [row["batch"] for row in json.loads(artifacts(state)["batches"])] == ["b1"]


def test_without_a_new_batch_the_monitor_says_so(server, toy, monkeypatch):
    state = watched(monkeypatch)
    assert (state.type.value, state.message) == ("COMPLETED", "0 batches, no alarm")


def scored(monkeypatch, counts, **parameters):
    """Run the flow `score` with a stand-in for the model; return its state."""
    from flows import scoring
    from flows.score import score

    def fake(paths, file, *, version, overwrite, say):
        return scoring.Summary(str(file), version or "v0.0.1", scoring.Counts(*counts), 0, 2.0)

    monkeypatch.setattr(scoring, "score", fake)
    return score(["folder"], return_state=True, **parameters)


def test_an_order_to_score_is_carried_out_and_told(server, toy, monkeypatch):
    state = scored(monkeypatch, (4, 3, 1, 0), output="out.csv", version="v0.0.2")
    assert (state.type.value, state.message) == (
        "COMPLETED",
        "4 images by v0.0.2 in 2 s, 2 images/s",
    )
    found = artifacts(state)
    assert "answered           3   75.0%" in found["scored"]
    assert (toy / "out.csv").as_uri() in found["score-table"]


def test_an_order_without_an_output_gets_a_file_of_its_own(server, toy, monkeypatch):
    state = scored(monkeypatch, (4, 4, 0, 0))
    pattern = r"reports/scores/\d{8}T\d{6}Z\.parquet"
    assert re.search(pattern, artifacts(state)["score-table"])


def test_an_order_of_which_nothing_could_be_read_has_failed(server, toy, monkeypatch):
    assert scored(monkeypatch, (2, 0, 0, 2)).type.value == "FAILED"


def test_an_order_that_cannot_be_carried_out_fails_with_the_words_alone(server, toy):
    from flows.score import score

    state = score(["folder"], output="out.txt", return_state=True)
    words = "out.txt: expected an output that ends in .parquet or .csv"
    assert (state.type.value, state.message) == ("FAILED", words)


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
