"""The command ``monitor``: judge new batches, answer alarms, train where that was asked for."""

from collections.abc import Sequence
from pathlib import Path

from flows import alarms, monitoring, occasions, retraining
from flows.monitoring import Judged

ALARMED = 3
"""Exit status of ``--fail-on-alarm``."""


def monitor(
    names: Sequence[str] = (),
    since: str | None = None,
    train: bool = False,
    fail_on_alarm: bool = False,
    root: Path = Path(),
) -> int:
    """Judge the batches that arrived, in order, and print a line each; return the exit status.

    ``train``: without a Prefect server, run the training that an alarm starts in this process,
    once all batches are judged; also one that an earlier call did not come to run.
    """
    alarmed = False
    with alarms.alone(root):
        new = monitoring.watch(root, since=since, names=names, say=_say)
        for judged in alarms.follow(new, alarms.answer(train), _say, root):
            alarmed |= judged.alarm
            _show(judged)
    status = _train(root) if train else 0
    return status or (ALARMED if alarmed and fail_on_alarm else 0)


def _say(text: str) -> None:
    print(text, flush=True)


def _show(judged: Judged) -> None:
    if not judged.alarm:
        _say(f"{judged.name}: {judged.alert['what']}")
        return
    _say(f"{judged.name}: alarm: {', '.join(judged.kinds)}")
    for line in alarms.text(judged).splitlines():
        _say(f"  {line}")


def _train(root: Path) -> int:
    """Run one training for all that is due, and tell each report how it ended."""
    due = retraining.unfinished(root)
    if not due:
        return 0
    from flows import run

    status = run.train(reason="; ".join(each["reason"] for each in due))
    retraining.finish(root)
    for each in due:
        monitoring.note_started(root, each["about"], f"a training: {occasions.last(root)}")
    return status
