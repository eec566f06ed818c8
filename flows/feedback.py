"""The command ``feedback``: take corrected labels into the training data."""

from collections.abc import Iterator
from pathlib import Path

from tasks.io import feedback as kept
from tasks.io.feedback import Accepted
from tasks.io.stage import StageError

ROOT = Path()


def feedback(file: Path) -> int:
    """Take the corrections in ``file`` and print what happens next; return the exit status."""
    if not (ROOT / "dvc.yaml").is_file():
        raise StageError("expected dvc.yaml here: call it in the folder of the pipeline")
    print(*told(kept.accept(file, ROOT)), sep="\n")
    return 0


def told(taken: Accepted) -> Iterator[str]:
    """Say what was taken, and what makes it count everywhere."""
    noun = "correction" if taken.rows == 1 else "corrections"
    yield f"{taken.rows} {noun} taken as {taken.path.with_suffix('')}"
    yield "the next training takes them in: `make run`"
    yield f"for other clones: git add {taken.path}, commit and push it, and `dvc push`"
