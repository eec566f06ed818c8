"""What follows an alarm: a training where the rules allow one, and a message to people."""

import fcntl
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from flows import execute, monitoring, notify, retraining, settings
from flows.monitoring import Judged
from flows.retraining import Cause
from tasks.io import params
from tasks.io.files import read_json
from tasks.io.monitoring_params import Monitor
from tasks.io.stage import StageError

ALERT = {
    "what": "what happened",
    "sure": "how sure",
    "cost": "what it costs",
    "look": "what to look at",
    "started": "what was started",
}
"""The parts of an alert, in their order, as people read them."""

LATER = "a training in this process, once all batches are judged"


class Answer(NamedTuple):
    """How alarms are answered: who starts a training, and who is told."""

    start: Callable[[Cause], str]
    finished: bool
    """Whether ``start`` has done it, or this process has to run it itself."""
    cooldown: float  # hours
    notify: str | None


def answer(train: bool = False) -> Answer:
    """Return how alarms are answered here, by params.yaml.

    With a Prefect server an event starts the training; without one this process does if
    ``train`` says so, and otherwise a person is told how to.
    """
    section = params.section(Monitor, "monitor")
    if settings.has_server():
        return Answer(_by_event, True, section.cooldown, section.notify)
    start = (lambda _: LATER) if train else _by_hand
    return Answer(start, not train, section.cooldown, section.notify)


def _by_event(cause: Cause) -> str:
    from flows import events

    return events.start(cause)


def _by_hand(_: Cause) -> str:
    raise StageError(
        "no Prefect server is named by PREFECT_API_URL that would start a training (make serve); "
        "start one by `make run`, or let the monitor do it: python -m flows monitor --train"
    )


def follow(
    judged: Iterable[Judged], how: Answer, say: Callable[[str], None], root: Path = Path()
) -> Iterator[Judged]:
    """Yield each batch as it is judged, its alarm answered and the answer kept with its report.

    Alarms that an earlier monitor did not come to answer are answered first.
    """
    yield from _answered(_unanswered(root), how, say, root)
    yield from _answered(judged, how, say, root)


def _answered(
    judged: Iterable[Judged], how: Answer, say: Callable[[str], None], root: Path
) -> Iterator[Judged]:
    for each in judged:
        yield _respond(each, how, say, root) if each.alarm else each


def _respond(judged: Judged, how: Answer, say: Callable[[str], None], root: Path) -> Judged:
    cause = retraining.drift(judged.name, judged.cause, judged.kinds)
    came = retraining.begin(cause, how.start, how.cooldown, root, finished=how.finished)
    monitoring.note_started(root, judged.name, came.text)
    judged = judged._replace(alert=judged.alert | {"started": came.text})
    if how.notify:
        try:
            whom = notify.notify(
                how.notify, f"Digitline: {cause.reason}", text(judged), _content(judged)
            )
            say(f"{judged.name}: told {whom}")
        except StageError as error:  # the alarm stands in the report all the same
            say(f"{judged.name}: nobody was told: {error}")
    return judged


def text(judged: Judged) -> str:
    """Return the alert, a line for each of its parts."""
    return "\n".join(f"{label}: {judged.alert[key]}" for key, label in ALERT.items())


def _content(judged: Judged) -> dict[str, object]:
    return {
        "batch": judged.name,
        "kinds": list(judged.kinds),
        **{key: judged.alert[key] for key in ALERT},
        "report": str(judged.report),
    }


def _unanswered(root: Path) -> Iterator[Judged]:
    """Yield the alarms, oldest first, of which no report says what was started."""
    found = [read_json(file) for file in (root / "reports/monitoring").glob("*/report.json")]
    left = [each for each in found if each["alarm"] and not each["alert"]["started"]]
    for each in sorted(left, key=lambda each: str(each["time"])):
        page = root / "reports/monitoring" / each["batch"] / "index.html"
        yield Judged(each["batch"], True, each["kinds"], each["cause"], each["alert"], page)


@contextmanager
def alone(root: Path = Path()) -> Iterator[None]:
    """Hold this clone's monitor, so that no batch is judged twice at once.

    Raises
    ------
    StageError
        If another process holds it.
    """
    lock = execute.folder(root) / "monitor.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StageError(
                "another monitor is at work in this clone; what it does not take up, the next does"
            ) from None
        yield
