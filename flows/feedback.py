"""The command ``feedback``: take corrected labels into the training data."""

from collections.abc import Iterator
from pathlib import Path

from flows import retraining, settings
from flows.retraining import Start
from tasks.io import feedback as kept
from tasks.io.feedback import Accepted
from tasks.io.stage import StageError

ROOT = Path()


def feedback(file: Path) -> int:
    """Take the corrections in ``file`` and print what happens next; return the exit status."""
    if not (ROOT / "dvc.yaml").is_file():
        raise StageError("expected dvc.yaml here: call it in the folder of the pipeline")
    taken = kept.accept(file, ROOT)
    print(*told(taken, _start(taken)), sep="\n")
    return 0


def told(taken: Accepted, started: Start | None = None) -> Iterator[str]:
    """Say what was taken, and what makes it count here and everywhere."""
    noun = "correction" if taken.rows == 1 else "corrections"
    yield f"{taken.rows} {noun} taken as {taken.path.with_suffix('')}"
    if started:
        yield f"started: {started.text}"
    by_hand = not (started and started.starts)
    yield "the next training takes them in" + (": `make run`" if by_hand else "")
    yield f"for other clones: git add {taken.path}, commit and push it, and `dvc push`"


def _start(taken: Accepted) -> Start | None:
    """Let the Prefect server start a training; return what came of it, None without a server."""
    if not settings.has_server():
        return None
    from flows import events

    cause = retraining.correction(taken.name, taken.rows)
    return retraining.begin(cause, events.start, 0, ROOT)
