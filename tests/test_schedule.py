"""prefect.yaml as it is deployed: by the README's own commands, on a server that stays."""

import os
import shlex
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
import toy_pipeline
from ruamel.yaml import YAML

from flows import server

ROOT = Path(__file__).parent.parent
DEPLOYED = ROOT / "prefect.yaml"
PATIENCE = 180
"""Seconds until a scheduled run has to have ended; 30 are usual."""

# Raised inside Prefect at import.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def readme_commands():
    """Return the commands below the heading "Schedule", each as a list of words."""
    section = (ROOT / "README.md").read_text().partition("\n### Schedule\n")[2].partition("\n#")[0]
    lines = [line for line in section.splitlines() if line.startswith("    ")]
    return [shlex.split(line, comments=True) for line in lines]


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """The toy pipeline with the real flow and the real prefect.yaml, due every 10 s besides."""
    folder = toy_pipeline.make(tmp_path / "toy", monkeypatch)
    for name in ("flows", "tasks", "pyproject.toml"):
        (folder / name).symlink_to(ROOT / name)
    content = YAML().load(DEPLOYED)
    for deployment in content["deployments"]:
        deployment["schedules"].append({"interval": 10})
    YAML().dump(content, folder / DEPLOYED.name)
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return folder


@contextmanager
def running(command, log):
    """Run ``command`` beside the block; end it and all that it started after the block."""
    with log.open("wb") as file:
        process = psutil.Popen(command, stdout=file, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        # Not by process group: the worker gives each flow run a session of its own.
        is_running = process.poll() is None
        family = [process, *(process.children(recursive=True) if is_running else [])]
        for member in family:
            with suppress(psutil.NoSuchProcess):
                member.terminate()
        for member in psutil.wait_procs(family, timeout=20)[1]:
            member.kill()
        process.wait()


def first_scheduled_run(url, logs):
    """Return the first scheduled flow run that has ended, as the server tells it."""
    import httpx

    wanted = {"state": {"type": {"any_": ["COMPLETED", "FAILED", "CRASHED"]}}}
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        ended = httpx.post(f"{url}/flow_runs/filter", json={"flow_runs": wanted}).json()
        if scheduled := [run for run in ended if run["auto_scheduled"]]:
            return scheduled[0]
        time.sleep(0.5)
    raise AssertionError(f"no scheduled run ended within {PATIENCE} s{tails(logs)}")


def tails(logs):
    return "".join(f"\n--- {log.name}\n{log.read_text()[-3000:]}" for log in logs)


@pytest.mark.slow
def test_what_prefect_yaml_deploys_runs_when_it_is_due(clone, tmp_path, monkeypatch):
    serve, _export, *steps, work = readme_commands()
    port = str(server.free_port())
    url = f"http://127.0.0.1:{port}/api"
    monkeypatch.setenv("PREFECT_API_URL", url)
    logs = [tmp_path / "server.log", tmp_path / "worker.log"]
    with running([*serve, "--port", port], logs[0]) as process:
        server.wait(process, url, logs[0])
        for command in steps:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        with running(work, logs[1]):
            run = first_scheduled_run(url, logs)
            assert run["state"]["message"] == "8 stages: 8 Ran", f"{run['state']}{tails(logs)}"
    assert (clone / "reports/index.html").exists()


def test_every_deployment_is_of_a_flow_and_sets_parameters_that_it_has(monkeypatch):
    from prefect.flows import load_flow_from_entrypoint

    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "path", [*sys.path])  # Prefect adds to it
    for deployment in YAML(typ="safe").load(DEPLOYED)["deployments"]:
        entrypoint = deployment["entrypoint"]
        flow = load_flow_from_entrypoint(entrypoint, use_placeholder_flow=False)
        assert {*deployment["parameters"]} <= {*flow.parameters.properties}, entrypoint
