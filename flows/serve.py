"""The command ``python -m flows serve``: Prefect's server, a worker and what they run."""

import fcntl
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from flows import deployments, processes, server
from flows.deployments import Api
from flows.processes import SERVER, WORKER
from flows.served import HOST, Served, check_port, folder
from flows.served_runs import News
from tasks.io.stage import StageError

PORT = 4200
DEPLOY = "deploy"

STEADY = 60.0
"""Seconds after which a worker counts as started; one that ends before that did not start."""
STARTS = 3
"""Workers in a row that may end before that."""

SCHEDULED = 20.0
"""Seconds that Prefect's scheduler is given to plan the next runs; 5 are usual."""

PAUSE = 1.0
"""Seconds between two looks at the parts and the runs."""


def serve(port: int = PORT) -> int:
    """Serve this clone until told to end; return the exit status. Port 0: any free one.

    Raises
    ------
    StageError
        If it is served already, the port is taken, or a part does not start or dies.
    """
    root, wanted = Path.cwd(), deployments.read()
    with _alone(root) as lock, _Signals() as signals:
        _end_what_is_left(root)
        check_port(port)
        served = Served(root, port or server.free_port())
        _fill(lock, served)
        try:
            _run(served, wanted)
        except KeyboardInterrupt:
            say("ending flow runs, worker and server; the same once more ends them at once")
        finally:
            clean = processes.end(root, lambda: signals.count > 1)
        say("all has ended" if clean else "all has ended; some of it had to be killed")
    return 0


def say(text: str) -> None:
    """Print a line with the time; harmless where the terminal was closed."""
    with suppress(OSError):
        print(f"{datetime.now():%H:%M:%S} {text}", flush=True)


def _run(served: Served, wanted: list[dict[str, Any]]) -> None:
    served.put_logs_aside([SERVER, DEPLOY, WORKER])
    say(f"starting Prefect's server at {served.url}; 10 to 20 s are usual")
    # Late runs: what was missed is seen to below, and to mark it all at once is much to write.
    options = ["--no-late-runs", "--host", HOST, "--port", str(served.port)]
    process = served.start(SERVER, "server", "start", *options)
    server.wait(process, served.api, served.log(SERVER))
    with closing(Api(served.api)) as api:
        _deploy(served, api, wanted)
        worker = _Worker(served, deployments.work_pool(wanted))
        _tell(served, api)
    with closing(Api(served.api, patience=0)) as api:
        _watch(served, process, worker, News(api))


def _deploy(served: Served, api: Api, wanted: list[dict[str, Any]]) -> None:
    if lost := deployments.release(api):
        say(f"crashed, as they or their server were killed: {lost} of the flow runs of before")
    deployments.make_work_pool(api, deployments.work_pool(wanted))
    if status := served.start(DEPLOY, "deploy", "--all").wait():
        what = f"{deployments.FILE} was not deployed: `prefect deploy --all` ended with {status}"
        raise StageError(f"{what}; {served.words(DEPLOY)}")
    for line in deployments.tidy(api, wanted):
        say(line)


class _Worker:
    """The worker, started again where it ends by itself."""

    def __init__(self, served: Served, pool: str) -> None:
        self._served, self._pool, self._starts = served, pool, 0
        self._start()

    def _start(self) -> None:
        options = ["--type", "process", "--pool", self._pool]
        self._process = self._served.start(WORKER, "worker", "start", *options)
        self._since = time.monotonic()
        self._starts += 1

    def check(self) -> None:
        """Start it again if it has ended.

        Raises
        ------
        StageError
            If it ends whenever it is started.
        """
        is_steady = time.monotonic() > self._since + STEADY
        if (status := self._process.poll()) is None:
            self._starts = 1 if is_steady else self._starts
            return
        if self._starts == STARTS and not is_steady:
            words = self._served.words(WORKER)
            raise StageError(f"the worker ended {STARTS} times in a row, with {status}; {words}")
        say(f"the worker ended with {status} and is started again")
        self._start()


def _tell(served: Served, api: Api) -> None:
    say("ready")
    lines = [
        "",
        f"  pages     {served.url}",
        f"  commands  export PREFECT_API_URL={served.api}",
        *_due(api),
        f"  logs      {folder(served.root)}/: server.log, worker.log",
        "",
        "Ctrl-C ends all of it.",
        "",
    ]
    with suppress(OSError):
        print(*lines, sep="\n", flush=True)


def _due(api: Api) -> Iterator[str]:
    end = time.monotonic() + SCHEDULED
    for found in sorted(api.find("deployments"), key=lambda each: str(each["name"])):
        planned = any(schedule["active"] for schedule in found["schedules"])
        while (run := deployments.upcoming(api, found)) is None and planned:
            if time.monotonic() > end:
                break
            time.sleep(0.5)
        when = f"next at {deployments.shown(run)}" if run else "on demand"
        yield f"  {found['name']:<9} {when}"


def _watch(served: Served, process: subprocess.Popen[bytes], worker: _Worker, news: News) -> None:
    while (status := process.poll()) is None:
        worker.check()
        for line in news.lines():
            say(line)
        time.sleep(PAUSE)
    raise StageError(f"Prefect's server ended with {status}; {served.words(SERVER)}")


def _end_what_is_left(root: Path) -> None:
    """End what a ``serve`` left that was killed: its server would still write the database."""
    if left := [str(process.pid) for process, _ in processes.marked(root)]:
        say(f"ending what an earlier serve left here: processes {', '.join(left)}")
        processes.end(root)


@contextmanager
def _alone(root: Path) -> Iterator[TextIO]:
    """Hold this clone's lock, which the system gives back however this process ends."""
    folder(root).mkdir(parents=True, exist_ok=True)
    with (folder(root) / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StageError(_served_already(root, lock)) from None
        yield lock


def _served_already(root: Path, lock: TextIO) -> str:
    lock.seek(0)
    text = lock.read()
    other = json.loads(text) if text else {"pid": "?", "url": "an address not known yet"}
    return (
        f"{root} is served already, by process {other['pid']} at {other['url']}; "
        f"to end that: Ctrl-C there, or kill {other['pid']}"
    )


def _fill(lock: TextIO, served: Served) -> None:
    lock.truncate(0)
    since = datetime.now(UTC).isoformat(timespec="seconds")
    lock.write(json.dumps({"pid": os.getpid(), "url": served.url, "since": since}))
    lock.flush()


class _Signals:
    """Makes the first Ctrl-C, SIGTERM or SIGHUP a KeyboardInterrupt; counts the others."""

    def __init__(self) -> None:
        self.count = 0

    def __enter__(self) -> "_Signals":
        names = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        # A handler, even where SIGINT was ignored: what is ignored stays so in the parts.
        self._before = {name: signal.signal(name, self._note) for name in names}
        return self

    def _note(self, *_: object) -> None:
        self.count += 1
        if self.count == 1:
            raise KeyboardInterrupt

    def __exit__(self, *_: object) -> None:
        for name, handler in self._before.items():
            signal.signal(name, handler)
