"""`python -m flows serve` up to where Prefect starts, and what it does when a part ends."""

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys

import psutil
import pytest

from flows import processes, serve, served
from flows.served import Served
from tasks.io.stage import StageError

YAML = """
deployments:
  - name: train
    entrypoint: flows/train.py:train
    work_pool: {name: digitline}
"""


@pytest.fixture
def clone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "prefect.yaml").write_text(YAML)
    return tmp_path


def refused(port):
    with pytest.raises(StageError) as error:
        serve.serve(port)
    return str(error.value)


def test_a_second_serve_is_told_who_serves(clone):
    folder = served.folder(clone)
    folder.mkdir(parents=True)
    with (folder / "lock").open("w") as lock:
        json.dump({"pid": 123, "url": "http://127.0.0.1:4200"}, lock)
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert refused(0) == (
            f"{clone} is served already, by process 123 at http://127.0.0.1:4200; "
            "to end that: Ctrl-C there, or kill 123"
        )


def test_a_port_that_is_taken_is_told_with_who_has_it(clone):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        command = " ".join(psutil.Process().cmdline())
        assert refused(port) == (
            f"expected port {port} of 127.0.0.1 to be free; process {os.getpid()} has it "
            f"({command}). End that, or choose another: python -m flows serve --port NUMBER"
        )


def test_a_port_that_may_not_be_used_is_told(clone):
    text = refused(70_000)
    assert text.startswith("expected a port from 0 to 65535; got 70000")


def test_no_variable_leads_to_another_prefect(tmp_path, monkeypatch):
    monkeypatch.setenv("PREFECT_API_KEY", "theirs")
    monkeypatch.setenv("PREFECT_PROFILE", "theirs")
    monkeypatch.setenv("PREFECT_API_DATABASE_CONNECTION_URL", "theirs")
    monkeypatch.setenv("PREFECT_LOGGING_LEVEL", "DEBUG")
    monkeypatch.setenv("NO_PROXY", "inside")
    found = served.environment(Served(tmp_path, 4200))
    assert "theirs" not in found.values()
    assert found["PREFECT_LOGGING_LEVEL"] == "DEBUG"
    assert found["PREFECT_API_URL"] == "http://127.0.0.1:4200/api"
    assert found["PREFECT_HOME"] == str(tmp_path / ".dvc/tmp/digitline/serve/prefect")
    assert found["NO_PROXY"] == found["no_proxy"] == "inside,127.0.0.1"
    assert found["PATH"].startswith(os.path.dirname(sys.executable))  # noqa: PTH120


def test_what_a_killed_serve_left_is_ended_first(clone, capsys):
    left = subprocess.Popen(
        [sys.executable, "-c", "import time; print(flush=True); time.sleep(60)"],
        env=os.environ | processes.environment(clone, processes.SERVER),
        stdout=subprocess.PIPE,
    )
    left.stdout.readline()
    serve._end_what_is_left(clone)
    assert left.wait(0) == -signal.SIGTERM
    left.stdout.close()
    assert (
        f"ending what an earlier serve left here: processes {left.pid}\n" in capsys.readouterr().out
    )


class Part:
    """A process that has ended, or runs."""

    def __init__(self, status=None):
        self.status = status

    def poll(self):
        return self.status


class Quiet:
    """News of nothing."""

    def lines(self):
        return []


@pytest.fixture
def started(tmp_path, monkeypatch):
    """Make each worker end at once, with status 1; return the parts that were started."""
    parts = []

    def start(self, part, *arguments):
        parts.append(part)
        return Part(1)

    served.folder(tmp_path).mkdir(parents=True)
    monkeypatch.setattr(Served, "start", start)
    monkeypatch.setattr(serve, "PAUSE", 0)
    return parts


def test_a_worker_that_ends_is_started_again_but_not_for_ever(started, tmp_path, capsys):
    it = Served(tmp_path, 4200)
    it.log("worker").write_text("one\n\ntwo\n")
    with pytest.raises(StageError) as error:
        serve._watch(it, Part(), serve._Worker(it, "digitline"), Quiet())
    assert started == ["worker"] * 3
    assert capsys.readouterr().out.count("the worker ended with 1 and is started again\n") == 2
    assert str(error.value) == (
        f"the worker ended 3 times in a row, with 1; its words: {it.log('worker')}\n  one\n  two"
    )


def test_a_worker_that_ran_for_long_may_end_again(started, tmp_path, monkeypatch):
    monkeypatch.setattr(serve, "STEADY", -1)
    worker = serve._Worker(Served(tmp_path, 4200), "digitline")
    for _ in range(5):
        worker.check()
    assert len(started) == 6


def test_the_end_of_the_server_is_the_end_with_its_last_words(started, tmp_path):
    it = Served(tmp_path, 4200)
    it.log("server").write_text("no space left\n")
    with pytest.raises(StageError) as error:
        serve._watch(it, Part(3), None, Quiet())
    assert str(error.value) == (
        f"Prefect's server ended with 3; its words: {it.log('server')}\n  no space left"
    )


def test_the_first_signal_interrupts_and_the_others_are_counted():
    with serve._Signals() as signals:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
        assert signals.count == 3
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_the_logs_of_the_last_time_are_kept_once(tmp_path):
    it = Served(tmp_path, 4200)
    served.folder(tmp_path).mkdir(parents=True)
    for words in ("first", "second"):
        it.log("server").write_text(words)
        it.put_logs_aside(["server", "worker"])
    assert [path.name for path in served.folder(tmp_path).iterdir()] == ["server.old.log"]
    assert (served.folder(tmp_path) / "server.old.log").read_text() == "second"
