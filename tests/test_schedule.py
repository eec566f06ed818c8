"""`python -m flows serve` for real: what is due runs, drift starts a training, all of it ends."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import toy_serving
from browser import page
from toy_serving import ROOT, arrive

from flows import deployments, events, processes, server
from flows.deployments import Api

PATIENCE = 180
"""Seconds until what is waited for has to have happened; 30 are usual."""

# Raised inside Prefect at import, and inside DVC.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


class Serving:
    """A toy clone that is served, and what its server and its files tell."""

    def __init__(self, root: Path) -> None:
        self.root, self.port = root, server.free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.api = Api(f"{self.url}/api")
        self.log = root / "serve.log"

    def start(self) -> None:
        """Start it and wait until it says that it is ready."""
        command = [sys.executable, "-m", "flows", "serve", "--port", str(self.port)]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, cwd=self.root, stdout=log, stderr=log)
        self.until(lambda: "Ctrl-C ends all of it." in self.said())

    def said(self) -> str:
        return self.log.read_text()

    def until(self, condition: Any) -> Any:
        """Wait until ``condition()`` is something, and return that."""
        end = time.monotonic() + PATIENCE
        while not (found := condition()):
            assert self.process.poll() is None, f"serve ended: {self.words()}"
            assert time.monotonic() < end, f"not within {PATIENCE} s: {self.words()}"
            time.sleep(0.3)
        return found

    def words(self) -> str:
        logs = [self.log, *(self.root / ".dvc/tmp/digitline/serve").glob("*.log")]
        return "".join(f"\n--- {log.name}\n{log.read_text()[-3000:]}" for log in logs)

    def ended(
        self, flow: str, *, auto_scheduled: bool, but: tuple[str, ...] = ()
    ) -> dict[str, Any]:
        """Return the first run of ``flow`` that has ended, once there is one beside ``but``."""
        query = {
            "flows": {"name": {"any_": [flow]}},
            "flow_runs": {"state": {"type": {"any_": ["COMPLETED", "FAILED", "CRASHED"]}}},
        }

        def found() -> list[dict[str, Any]]:
            runs = self.api.find("flow_runs", sort="START_TIME_ASC", **query)
            return [
                run
                for run in runs
                if run["auto_scheduled"] is auto_scheduled and run["id"] not in but
            ]

        return dict(self.until(found)[0])

    def report(self, batch: str) -> dict[str, Any]:
        """Return what the monitor wrote of a batch, once it tells what was started."""
        file = self.root / f"reports/monitoring/{batch}/report.json"

        def answered() -> Any:
            content = json.loads(file.read_text()) if file.exists() else {}
            return content if content.get("alert", {}).get("started") else None

        return dict(self.until(answered))

    def left(self) -> list[list[str]]:
        """Return the commands of the processes that still run."""
        with suppress(psutil.NoSuchProcess):
            return [process.cmdline() for process, _ in processes.marked(self.root)]
        return self.left()

    def end(self, name: signal.Signals) -> int:
        self.process.send_signal(name)
        return self.process.wait(60)


@pytest.fixture(scope="module")
def serving(tmp_path_factory):
    """A clone whose monitor is due every 10 s, served for all tests of this file."""
    with pytest.MonkeyPatch.context() as patch:
        root = toy_serving.make(tmp_path_factory.mktemp("serving") / "toy", patch)
        toy_serving.reschedule(root, {"monitor": 10})
        arrive(root, "b1")
        it = Serving(root)
        it.start()
        yield it
        if it.process.poll() is None:
            it.end(signal.SIGKILL)
            processes.end(root)
        it.api.close()


@pytest.fixture(scope="module")
def drifted(serving):
    """What followed when batch b2 drifted: the monitor's report and the training's run."""
    arrive(serving.root, "b2", ["input"])
    report = serving.report("b2")
    return report, serving.ended("train", auto_scheduled=False)


@pytest.mark.slow
def test_it_tells_where_its_pages_are_and_what_is_due(serving):
    said = serving.said()
    assert f"  pages     {serving.url}\n" in said
    assert f"  commands  export PREFECT_API_URL={serving.url}/api\n" in said
    assert re.search(r"^  monitor   next at 20\d\d-\d\d-\d\d \d\d:\d\d:\d\dZ$", said, re.MULTILINE)
    assert "  score     on demand\n" in said


@pytest.mark.slow
def test_a_run_that_is_due_happens(serving):
    run = serving.ended("monitor", auto_scheduled=True)
    assert (run["state"]["type"], run["state"]["message"]) == ("COMPLETED", "1 batch, no alarm")
    serving.until(
        lambda: f"monitor {run['name']} ended: Completed, 1 batch, no alarm" in serving.said()
    )


@pytest.mark.slow
def test_drift_starts_a_training_with_its_reason(serving, drifted):
    report, run = drifted
    reason = "drift in batch b2: input"
    assert run["parameters"]["reason"] == reason
    assert run["created_by"]["type"] == "AUTOMATION"
    assert (run["state"]["type"], run["state"]["message"]) == ("COMPLETED", "8 stages: 8 Ran")
    assert run["name"].endswith(f": {reason}")
    assert run["id"] in report["alert"]["started"]
    assert report["alert"]["started"].endswith("by event digitline.drift")
    (line,) = (serving.root / "reports/trainings.jsonl").read_text().splitlines()
    assert json.loads(line)["reason"] == reason


@pytest.mark.slow
def test_the_same_drift_starts_no_second_training_but_a_correction_starts_one_at_once(
    serving, drifted
):
    arrive(serving.root, "b3", ["input"])
    started = serving.report("b3")["alert"]["started"]
    assert started.startswith("nothing: the same cause started a training at ")
    correct = (
        "from flows import events, retraining\n"
        "cause = retraining.correction('20261124-1', 20)\n"
        "print(retraining.begin(cause, events.start, 24).text)"
    )
    environment = os.environ | {"PREFECT_API_URL": f"{serving.url}/api"}
    done = subprocess.run(
        [sys.executable, "-c", correct],
        cwd=serving.root,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    run = serving.ended("train", auto_scheduled=False, but=(drifted[1]["id"],))
    assert run["parameters"]["reason"] == "correction of 20 labels: 20261124-1"
    assert run["id"] in done.stdout
    assert run["state"]["message"] == "8 stages: 8 Cached"


@pytest.mark.slow
def test_prefects_pages_show_both_runs_and_ask_no_one_else(serving, drifted, tmp_path_factory):
    _, run = drifted
    scheduled = serving.ended("monitor", auto_scheduled=True)
    with page() as tab:
        tab.shows(f"{serving.url}/")
        tab.shows(f"{serving.url}/runs", scheduled["name"], run["name"], "Completed")
        tab.screenshot(tmp_path_factory.getbasetemp() / "runs.png")
        its_page = f"{serving.url}/runs/flow-run/{run['id']}"
        tab.shows(its_page, run["name"], "a drift alarm starts train", "reason: drift in batch b2")
        tab.screenshot(tmp_path_factory.getbasetemp() / "run.png")
        tab.shows(f"{serving.url}/deployments", "train", "monitor", "score")
        assert tab.outside(serving.url) == []


@pytest.mark.slow
def test_sigterm_ends_all_of_it_a_running_stage_too(serving, drifted):
    (serving.root / "sleep.ingest").touch()
    params = serving.root / "params.yaml"
    params.write_text(params.read_text().replace("data: web", "data: disk"))
    (train,) = serving.api.find("deployments", deployments={"name": {"any_": ["train"]}})
    order = {"state": {"type": "SCHEDULED"}}
    run = serving.api.call("POST", f"/deployments/{train['id']}/create_flow_run", order)
    pid = serving.root / "pid.ingest"
    serving.until(lambda: pid.exists() and pid.read_text())
    stage = psutil.Process(int(pid.read_text()))
    begun = time.monotonic()
    assert serving.end(signal.SIGTERM) == 0
    assert time.monotonic() - begun < 20
    assert not stage.is_running()
    assert serving.left() == []
    assert serving.said().endswith(" all has ended\n")
    assert run["id"] in crashed(serving.root)


def crashed(root: Path) -> set[str]:
    """Return the runs that told the server before it ended that they did not end well."""
    import sqlite3
    from uuid import UUID

    file = root / ".dvc/tmp/digitline/serve/prefect/prefect.db"
    with sqlite3.connect(file) as database:
        rows = database.execute("select id from flow_run where state_type = 'CRASHED'").fetchall()
    database.close()
    return {str(UUID(key)) for (key,) in rows}


def documented():
    """Return the commands of docs/serving.md for another server, each as a list of words."""
    text = (ROOT / "docs/serving.md").read_text().partition("\n## On another Prefect server\n")[2]
    lines = [line for line in text.splitlines() if line.startswith("    ")]
    return [shlex.split(line, comments=True) for line in lines]


@contextmanager
def running(command, log):
    """Run ``command`` beside the block; end it and all that it started after the block."""
    with log.open("wb") as file:
        process = psutil.Popen(command, stdout=file, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        is_running = process.poll() is None
        family = [process, *(process.children(recursive=True) if is_running else [])]
        for member in family:
            with suppress(psutil.NoSuchProcess):
                member.terminate()
        for member in psutil.wait_procs(family, timeout=20)[1]:
            member.kill()
        process.wait()


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A clone whose training is due every 10 s, and a Prefect server that is not its own."""
    root = toy_serving.make(tmp_path / "toy", monkeypatch)
    toy_serving.reschedule(root, {"train": 10})
    port, log = str(server.free_port()), tmp_path / "server.log"
    url = f"http://127.0.0.1:{port}/api"
    for name, value in {"PREFECT_HOME": str(tmp_path / "prefect"), "NO_PROXY": "127.0.0.1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    monkeypatch.setenv("PREFECT_API_URL", url)
    command = ["prefect", "server", "start", "--host", "127.0.0.1", "--port", port]
    with running(command, log) as process, closing(Api(url)) as api:
        server.wait(process, url, log)
        yield root, api


@pytest.mark.slow
def test_what_is_documented_for_another_server_deploys_and_runs_there(elsewhere, tmp_path):
    root, api = elsewhere
    _export, *steps, work = documented()
    for command in steps:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    log = tmp_path / "worker.log"
    with running(work, log):
        ended = {"state": {"type": {"any_": ["COMPLETED", "FAILED", "CRASHED"]}}}
        end = time.monotonic() + PATIENCE
        while not (runs := api.find("flow_runs", flow_runs=ended)):
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.3)
        assert runs[0]["state"]["message"] == "8 stages: 8 Ran"
    assert (root / "reports/index.html").exists()
    removed_from_the_file_is_removed_from_the_server(root, api)


def removed_from_the_file_is_removed_from_the_server(root, api):
    """Check what a next `serve` would do, on a server that is not a stand-in."""
    wanted = [entry for entry in deployments.read() if entry["name"] != "score"]
    for entry in wanted:
        entry["schedules"] = []
    assert len(api.call("POST", "/automations/filter", {})) == 2
    lines = list(deployments.tidy(api, wanted))
    assert "score: removed, as prefect.yaml no longer has it" in lines
    assert "train: its schedule is removed, as prefect.yaml no longer has one" in lines
    left = {each["name"]: each["schedules"] for each in api.find("deployments")}
    assert left == {"train": [], "monitor": []}
    list(deployments.tidy(api, [entry for entry in wanted if entry["name"] == "monitor"]))
    assert api.call("POST", "/automations/filter", {}) == []


def test_every_deployment_is_of_a_flow_and_sets_parameters_that_it_has(monkeypatch):
    from prefect.flows import load_flow_from_entrypoint

    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "path", [*sys.path])  # Prefect adds to it
    for deployment in deployments.read():
        entrypoint = deployment["entrypoint"]
        flow = load_flow_from_entrypoint(entrypoint, use_placeholder_flow=False)
        known = {*flow.parameters.properties}
        for place in (deployment, *deployment.get("triggers", []), *deployment["schedules"]):
            assert {*place.get("parameters", {})} <= known, entrypoint


def test_every_event_that_is_emitted_starts_train():
    (train,) = [each for each in deployments.read() if each["name"] == events.FLOW]
    expected = {
        (trigger["expect"][0], trigger["match"]["prefect.resource.id"])
        for trigger in train["triggers"]
    }
    emitted = {(event, f"digitline.{kind}.*") for kind, event in events.EVENTS.items()}
    assert expected == emitted
