"""What starts a training and what does not: the same rules with a Prefect server and without.

A *cause* is drift that the monitor saw, or a correction that a person made. The causes that
started a training are kept in `STATE`.
"""

import fcntl
import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from flows import execute
from tasks.io.files import read_json, write_json
from tasks.io.stage import StageError

STATE = Path("reports/monitoring/retraining.json")
KEPT = 200
"""Starts that the file remembers."""

FEEDBACK = Path("data/feedback")

DRIFT, CORRECTION = "drift", "correction"


class Cause(NamedTuple):
    """Why a training should start."""

    kind: str
    """`DRIFT` or `CORRECTION`."""
    text: str
    """Two causes of one kind with the same text are the same."""
    reason: str
    """One line for people, which the training carries."""
    about: str
    """The name of the batch, or of the accepted feedback."""


class Start(NamedTuple):
    """What came of a cause: whether a training starts, and a sentence that says so or why not."""

    starts: bool
    text: str


def drift(batch: str, cause: str, kinds: Sequence[str]) -> Cause:
    """Return the cause that an alarm of the monitor is; ``cause`` as its report has it."""
    reason = f"drift in batch {batch}: {', '.join(kinds)}"
    return Cause(DRIFT, cause, " ".join(reason.split()), batch)


def correction(name: str, rows: int) -> Cause:
    """Return the cause that the accepted feedback ``name`` of so many labels is."""
    labels = "1 label" if rows == 1 else f"{rows} labels"
    return Cause(CORRECTION, name, f"correction of {labels}: {name}", name)


def begin(
    cause: Cause,
    start: Callable[[Cause], str],
    cooldown: float,
    root: Path = Path(),
    *,
    finished: bool = True,
) -> Start:
    """Start a training by ``start(cause)`` if the rules allow it, and remember it.

    ``start`` returns a sentence about what it started. ``cooldown``: hours. ``finished``: False
    if the training is still to be run by this process (see `unfinished`).
    """
    with _alone(root):
        starts, now = _read(root), datetime.now(UTC)
        state = feedback_state(root)
        if refusal := against(cause, starts, state, timedelta(hours=cooldown), now):
            return Start(False, f"nothing: {refusal}")
        try:
            text = start(cause)
        except StageError as error:
            return Start(False, f"nothing: {error}")
        entry = {**cause._asdict(), "feedback": state, "time": now.isoformat(timespec="seconds")}
        _write(root, [*starts, entry | {"started": text, "finished": finished}])
    return Start(True, text)


def against(
    cause: Cause,
    starts: Sequence[dict[str, Any]],
    feedback: str,
    cooldown: timedelta,
    now: datetime,
) -> str:
    """Return why ``cause`` starts no training; empty if it does.

    ``starts`` are those of before, oldest first; ``feedback`` tells the state of the corrected
    labels now. A correction is a cause of its own, without a cool-down.
    """
    same = [each for each in starts if (each["kind"], each["text"]) == cause[:2]]
    drifts = [each for each in starts if each["kind"] == DRIFT]
    if cause.kind == CORRECTION:
        return f"{cause.about} has started a training {_at(same[-1])}" if same else ""
    if same and same[-1]["feedback"] == feedback:
        return (
            f"the same cause started a training {_at(same[-1])} ({same[-1]['reason']}), and no "
            "label was corrected since, so that another would learn nothing new"
        )
    if drifts and now < (until := datetime.fromisoformat(drifts[-1]["time"]) + cooldown):
        return (
            f"drift started a training {_at(drifts[-1])} ({drifts[-1]['reason']}); by "
            f"monitor.cooldown in params.yaml the next may start {until:%Y-%m-%d %H:%MZ}"
        )
    return ""


def unfinished(root: Path = Path()) -> list[dict[str, str]]:
    """Return the starts whose training a process was to run itself and has not run yet."""
    return [each for each in _read(root) if not each["finished"]]


def finish(root: Path = Path()) -> None:
    """Take note that what was to be run has run: one run brings everything up to date."""
    with _alone(root):
        _write(root, [each | {"finished": True} for each in _read(root)])


def feedback_state(root: Path = Path()) -> str:
    """Return a short text that changes whenever accepted feedback is added or taken away."""
    names = sorted(path.name for path in (root / FEEDBACK).glob("*.dvc"))
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:12]


def _at(entry: dict[str, Any]) -> str:
    return f"at {datetime.fromisoformat(entry['time']):%Y-%m-%d %H:%MZ}"


def _read(root: Path) -> list[dict[str, Any]]:
    file = root / STATE
    found: list[dict[str, Any]] = read_json(file)["starts"] if file.exists() else []
    return found


def _write(root: Path, starts: list[dict[str, Any]]) -> None:
    write_json(root / STATE, {"starts": starts[-KEPT:]})


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Hold a lock, so that two processes do not start a training for one cause."""
    lock = execute.folder(root) / "retraining.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
