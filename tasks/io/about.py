"""What the data set is, as `tasks.ingest` found it."""

from pathlib import Path
from typing import NamedTuple

from tasks.core.rows import Rows
from tasks.io import files
from tasks.io.stage import StageError

FILE = Path("data/ingest/dataset.json")


class About(NamedTuple):
    """What `tasks.ingest` tells of a data set.

    ``is_mnist`` is true of the published MNIST alone, whatever the name. ``rows`` counts what
    the run has: ``train``, the data set's own, ``test`` and ``feedback``, which come after the
    own ones. ``class_counts`` are those of the whole training set that the source has, in the
    order of ``classes``, and ``sha256`` those of its arrays, as IDX files.
    """

    name: str
    source: str
    is_mnist: bool
    classes: list[str]
    rows: dict[str, int]
    class_counts: list[int]
    sha256: dict[str, str]

    def numbering(self) -> Rows:
        """Return how the training rows are numbered."""
        return Rows(self.rows["train"], sum(self.class_counts), self.rows["feedback"])


def read(root: Path = Path()) -> About:
    """Return what is known of the data set below ``root``.

    Raises
    ------
    StageError
        If the file is missing or is not what `tasks.ingest` writes.
    """
    found = files.read_json(root / FILE)
    try:
        return About(**found)
    except TypeError as error:
        again = "Run `dvc repro` again"
        raise StageError(f"{FILE}: expected what ingest writes; {error}. {again}") from None
