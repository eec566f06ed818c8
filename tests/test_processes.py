"""The processes of one clone: found by their mark, ended in order, none left."""

import os
import subprocess
import sys
import time

import psutil
import pytest

from flows import execute, processes
from flows.processes import RUN, SERVER, STAGE, WORKER

WAITS = "import time; print('up', flush=True); time.sleep(60)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {WAITS}"


@pytest.fixture
def start(tmp_path):
    """Start a process with the mark of ``tmp_path`` as the kind that is asked for."""
    started = []

    def one(kind, code=WAITS, root=tmp_path):
        of_kind = {
            SERVER: {},
            WORKER: {},
            RUN: {"PREFECT__FLOW_RUN_ID": "1"},
            STAGE: {"PREFECT__FLOW_RUN_ID": "1", execute.LOG: "log"},
        }
        part = SERVER if kind == SERVER else WORKER
        mark = processes.environment(root, part)
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            env=os.environ | mark | of_kind[kind],
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        started.append(process)
        process.stdout.readline()
        return process

    yield one
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def test_each_process_of_the_clone_is_found_with_its_kind(start, tmp_path):
    expected = {start(kind).pid: kind for kind in (SERVER, WORKER, RUN, STAGE)}
    start(SERVER, root=tmp_path / "other")
    assert {process.pid: kind for process, kind in processes.marked(tmp_path)} == expected


def test_a_process_that_has_ended_and_was_not_asked_for_yet_is_none(start, tmp_path):
    process = start(WORKER)
    process.kill()
    while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    assert list(processes.marked(tmp_path)) == []


def test_runs_end_before_the_worker_and_the_server_ends_last(start, tmp_path):
    order = tmp_path / "order"
    notes = (
        "import signal, sys, time\n"
        "def end(*_):\n"
        f"    open({str(order)!r}, 'a').write('%s\\n')\n"
        "    sys.exit()\n"
        "signal.signal(signal.SIGTERM, end)\n"
    )
    for kind in (SERVER, WORKER, RUN):
        start(kind, notes % kind + WAITS)
    assert processes.end(tmp_path)
    assert order.read_text().splitlines() == [RUN, WORKER, SERVER]


def test_while_runs_end_the_worker_takes_no_new_one(start, tmp_path, monkeypatch):
    monkeypatch.setitem(processes.PATIENCE, RUN, 0.5)
    worker, run = psutil.Process(start(WORKER).pid), start(RUN, STUBBORN)
    seen = []

    def look():
        seen.append((worker.status(), run.poll()))
        return False

    processes.end(tmp_path, look)
    assert (psutil.STATUS_STOPPED, None) in seen


def test_stages_are_left_to_their_run_and_killed_where_it_is_gone(start, tmp_path):
    note = tmp_path / "told"
    told = f"import signal; signal.signal(signal.SIGTERM, lambda *_: open({str(note)!r}, 'w')); "
    stage = start(STAGE, told + WAITS)
    assert not processes.end(tmp_path)
    assert not psutil.pid_exists(stage.pid)
    assert not note.exists()


def test_what_does_not_end_when_told_is_killed_and_that_is_told(start, tmp_path, monkeypatch):
    monkeypatch.setitem(processes.PATIENCE, RUN, 0.2)
    run = start(RUN, STUBBORN)
    assert not processes.end(tmp_path)
    assert not psutil.pid_exists(run.pid)


def test_who_is_in_a_hurry_does_not_wait(start, tmp_path):
    run, worker = start(RUN, STUBBORN), start(WORKER)
    begun = time.monotonic()
    processes.end(tmp_path, lambda: True)
    assert time.monotonic() - begun < 5
    assert not psutil.pid_exists(run.pid)
    assert not psutil.pid_exists(worker.pid)


def test_another_clones_processes_stay(start, tmp_path):
    other = start(SERVER, root=tmp_path / "other")
    processes.end(tmp_path)
    assert other.poll() is None
