"""A Prefect server for the length of one run, where the user has none."""

import atexit
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

from tasks.io.stage import StageError

PATIENCE = 120.0
"""Seconds until a server that does not answer is given up; 5 to 20 are usual."""


def start(log: Path) -> Callable[[], None]:
    """Start a server that ends with this process; return a function that waits for it.

    To be called before Prefect is imported: the server then ends after Prefect has sent
    its last lines. Prefect would start one too, but where Ctrl-C ends it first, and the
    run then cannot say how it ended.

    Raises
    ------
    StageError
        By the function, if the server does not answer; with the path of its log.
    """
    port = free_port()
    url = f"http://127.0.0.1:{port}/api"
    process = _start(port, log)
    atexit.register(_end, process)
    os.environ["PREFECT_API_URL"] = url
    return lambda: wait(process, url, log)


def _start(port: int, log: Path) -> subprocess.Popen[bytes]:
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as file:
        return subprocess.Popen(
            _command(port),
            env=os.environ | {"PREFECT_API_DATABASE_CONNECTION_URL": _database(log.parent)},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a terminal's Ctrl-C does not reach it
        )


def _database(folder: Path) -> str:
    # Apart from the user's: another Prefect may be at home there, or another clone's run.
    return f"sqlite+aiosqlite:///{folder.resolve()}/prefect.db"


def _command(port: int) -> list[str]:
    # Its pages show the run while it lasts; schedules are for a server that stays.
    options = ["--ui", "--no-scheduler", "--no-late-runs", "--host", "127.0.0.1"]
    command = [sys.executable, "-m", "prefect", "--no-prompt", "server", "start", *options]
    return [*command, "--port", str(port)]


def wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    """Wait until the server at ``url`` answers.

    Raises
    ------
    StageError
        If it ends, or does not answer in time; with the path of its log.
    """
    direct = build_opener(ProxyHandler({}))  # a proxy cannot reach this machine's loopback
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and process.poll() is None:
        with suppress(URLError, ConnectionError, TimeoutError):
            direct.open(f"{url}/health", timeout=5).close()
            return
        time.sleep(0.1)
    how = "gave no answer" if process.poll() is None else f"ended with {process.returncode}"
    raise StageError(f"Prefect's own server {how}; expected it to start; its words: {log}")


def _end(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def free_port() -> int:
    """Return a port of 127.0.0.1 that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
