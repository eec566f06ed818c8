"""One stage run by DVC: its output to a log, its ending as a plain `Outcome`."""

import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Any

from flows import reasons
from flows.graph import Stage, open_repo
from tasks.io.files import read_json, write_bytes, write_json

LOG = "DIGITLINE_LOG"
"""Environment variable: where the output of a stage goes."""

RAN, RESTORED, CACHED = "Ran", "Restored", "Cached"
FAILED, BUSY, NOT_RUN = "Failed", "Busy", "not run"

TAIL = 20
"""Lines of a failed stage's log that its outcome keeps."""

# DVC starts a stage's command by the user's shell, so the shell is the one place where all
# output of any command can be caught, an interpreter that does not even start included.
_SHELL = f"""#!/bin/sh
exec >>"${LOG}" 2>&1
exec /bin/sh "$@"
"""


@dataclass(frozen=True)
class Outcome:
    """How a stage ended."""

    name: str
    state: str
    seconds: float = 0.0
    error: str = ""


def folder(root: Path) -> Path:
    """Return the folder for logs and timings, which Git and DVC both ignore."""
    return root / ".dvc" / "tmp" / "digitline"


def run(stage: Stage, root: Path, say: Callable[[str], None]) -> Outcome:
    """Let DVC bring ``stage`` up to date; why, and each line that it prints, goes to ``say``."""
    log = folder(root) / f"{stage.name}.log"
    log.unlink(missing_ok=True)
    start = time.monotonic()
    with follow(log, say):
        state, error = _reproduce(stage, root, log, say)
    return Outcome(stage.name, state, time.monotonic() - start, error)


def _reproduce(stage: Stage, root: Path, log: Path, say: Callable[[str], None]) -> tuple[str, str]:
    from dvc.exceptions import DvcException

    options = {"repro_fn": _saying_why(stage, say), "run_env": _environment(log)}
    try:
        with open_repo(root) as repo:
            changed = repo.reproduce([stage.name], single_item=True, **options)
    except DvcException as error:
        return _failure(error, log)
    except Exception:  # a defect: the run has to end in order all the same, and show it
        return FAILED, traceback.format_exc()
    if not changed:
        return CACHED, ""
    # Only a command that really started leaves a log; DVC's run cache starts none.
    return (RAN if log.exists() else RESTORED), ""


def _saying_why(stage: Stage, say: Callable[[str], None]) -> Callable[..., Any]:
    """Return DVC's own step of reproducing a stage, with the reason said before it."""
    from dvc.repo.reproduce import _reproduce_stage

    def reproduce(of_dvc: Any, **options: Any) -> Any:
        # Here DVC has loaded the stage and holds its lock, so that asking costs milliseconds.
        if why := reasons.why(of_dvc, stage):
            say(f"why: {why}")
        return _reproduce_stage(of_dvc, **options)

    return reproduce


def _failure(error: BaseException, log: Path) -> tuple[str, str]:
    from dvc.exceptions import DvcException
    from dvc.lock import LockError
    from dvc.stage.exceptions import StageCmdFailedError

    # The outermost says only which stage failed; below it, DVC's own words are for a person.
    causes = list(_causes(error))
    cause = ([cause for cause in causes[1:] if isinstance(cause, DvcException)] or causes)[-1]
    if isinstance(cause, LockError):
        return BUSY, str(cause)
    lines = log.read_text(errors="replace").splitlines()[-TAIL:] if log.exists() else []
    if not lines or not isinstance(cause, StageCmdFailedError):
        lines.append(str(cause))
    return FAILED, "\n".join(lines)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _environment(log: Path) -> dict[str, str]:
    # `python` in a command is the interpreter that runs the flow, on any PATH.
    here = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    return {LOG: str(log), "PATH": here, "PYTHONUNBUFFERED": "1", "SHELL": "/bin/sh"}


@contextmanager
def caught_output(root: Path) -> Iterator[None]:
    """While the block runs, DVC starts commands by a shell that writes to the stage's log."""
    shell, before = folder(root) / "shell", os.environ.get("SHELL")
    write_bytes(shell, _SHELL.encode())
    shell.chmod(0o755)
    os.environ["SHELL"] = str(shell)
    try:
        yield
    finally:
        del os.environ["SHELL"]
        os.environ.update({} if before is None else {"SHELL": before})


@contextmanager
def follow(log: Path, say: Callable[[str], None], pause: float = 0.2) -> Iterator[None]:
    """While the block runs, pass each line that appears in ``log`` to ``say``, once."""
    ended = Event()
    thread = Thread(target=_follow, args=(log, say, ended, pause), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _follow(log: Path, say: Callable[[str], None], ended: Event, pause: float) -> None:
    position, rest, last = 0, b"", False
    while not last:
        last = ended.wait(pause)  # once more after the end: the last lines are the best
        if log.exists():
            with log.open("rb") as file:
                file.seek(position)
                rest += file.read()
                position = file.tell()
        *lines, rest = rest.split(b"\n")
        for line in [*lines, rest] if last else lines:
            # A progress bar rewrites its line after \r: what stood there last counts.
            if text := line.decode(errors="replace").rstrip().rpartition("\r")[2]:
                say(text)


def stop(all_ended: Callable[[], bool], patience: float = 5.0) -> None:
    """End the commands of all running stages; kill those that do not go in ``patience`` s."""
    start = time.monotonic()
    while not all_ended() and time.monotonic() < start + 2 * patience:
        for process in _commands():
            _end(process, time.monotonic() > start + patience)
        time.sleep(0.1)


def _commands() -> list[Any]:
    import psutil

    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            # The variable tells a stage's command from Prefect's own server.
            if LOG in process.environ():
                found.append(process)
        except psutil.Error:
            continue
    return found


def _end(process: Any, hard: bool) -> None:
    import psutil

    try:
        process.kill() if hard else process.terminate()
    except psutil.NoSuchProcess:
        return


def durations(root: Path) -> dict[str, float]:
    """Return the seconds that each stage took when it last ran; empty where unknown."""
    file = folder(root) / "durations.json"
    return read_json(file) if file.exists() else {}


def keep_durations(root: Path, outcomes: list[Outcome]) -> None:
    """Remember how long the stages took that ran."""
    new = {outcome.name: round(outcome.seconds, 2) for outcome in outcomes if outcome.state == RAN}
    if new:
        write_json(folder(root) / "durations.json", durations(root) | new)
