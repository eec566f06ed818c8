"""The processes that ``serve`` started in one clone, and how they end.

They are found by a mark in their environment, not by parent or process group: Prefect's worker
gives each flow run a session of its own, and what a killed ``serve`` left has no parent here.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from flows import execute

MARK, PART = "DIGITLINE_SERVE", "DIGITLINE_PART"
"""Environment variables: of which clone a process is, and as which part it was started."""

SERVER, WORKER, RUN, STAGE = "server", "worker", "flow run", "stage"

PATIENCE = {RUN: 20.0, WORKER: 10.0, SERVER: 10.0}
"""Seconds that each kind has to end, in this order, before all that is left is killed."""

_RUN_ID = "PREFECT__FLOW_RUN_ID"


def environment(root: Path, part: str) -> dict[str, str]:
    """Return the variables that mark a process as ``part`` of what ``root`` serves."""
    return {MARK: str(root), PART: part}


def marked(root: Path) -> Iterator[tuple[Any, str]]:
    """Yield each running process of ``root`` and its kind."""
    import psutil

    for process in psutil.process_iter():
        with suppress(psutil.Error):  # another user's, or just ended
            variables = process.environ()
            if variables.get(MARK) == str(root) and process.status() != psutil.STATUS_ZOMBIE:
                yield process, _kind(variables)


def _kind(variables: dict[str, str]) -> str:
    # What a process starts inherits its variables, so the innermost kind counts.
    if execute.LOG in variables:
        return STAGE
    if _RUN_ID in variables:
        return RUN
    return SERVER if variables.get(PART) == SERVER else WORKER


def end(root: Path, hurried: Callable[[], bool] = lambda: False) -> bool:
    """End all processes of ``root``; tell whether they did so without being killed.

    First the flow runs, which end their own stages; the server last, so that the others can
    tell it how they ended. Once ``hurried`` says so, all are killed at once.
    """
    for kind, seconds in PATIENCE.items():
        deadline, asked = time.monotonic() + seconds, set[int]()
        while not hurried() and time.monotonic() < deadline and _ask(root, kind, asked):
            time.sleep(0.1)
    return _kill(root)


def _ask(root: Path, kind: str, asked: set[int]) -> bool:
    """Tell those of ``kind`` to end, each once; return whether there still are any."""
    import psutil

    found = list(marked(root))
    for process, its in found:
        with suppress(psutil.NoSuchProcess):
            if kind == RUN and its == WORKER:
                # It takes no new run meanwhile. Told to end now, it would kill those it has.
                process.suspend()
            elif kind == its and process.pid not in asked:
                asked.add(process.pid)
                process.terminate()
                process.resume()
    return any(its == kind for _, its in found)


def _kill(root: Path) -> bool:
    import psutil

    clean = True
    while left := [process for process, _ in marked(root)]:
        clean = False
        for process in left:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(left, timeout=1)
    return clean
