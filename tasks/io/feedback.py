"""Take what people corrected: check every line, keep images and labels, let DVC track them.

Nothing is kept unless every line is good. What is kept appears whole: a batch counts from the
moment its ``.dvc`` file is there, which is written last; what a killed process left behind is
taken away by the next one.
"""

import csv
import hashlib
import io
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tasks.core.corrections import Held, held, objection
from tasks.core.image_features import hashes
from tasks.io import about, feedback_files, files, store
from tasks.io.feedback_files import FOLDER, Correction
from tasks.io.readers.stream import pick
from tasks.io.stage import StageError

INCOMING = Path("data/incoming")
PATIENCE = 60
"""Seconds to wait while others use DVC, or a stage reads the folder."""
COLUMNS = "id (or file), label, who and, if you like, why"

_HALF = ".half-"
_NAME = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{8}")


class Accepted(NamedTuple):
    """A batch that was taken: its name, its corrections by number, the file to commit."""

    name: str
    rows: int
    path: Path


class Line(NamedTuple):
    """A line of the file, by its number from 1, with its fields stripped of space around them."""

    number: int
    id: str
    label: str
    who: str
    why: str


def accept(file: Path, root: Path = Path()) -> Accepted:
    """Take the corrections in ``file``, CSV in UTF-8, into the training set below ``root``.

    Its columns are ``id`` (as scores have it: the path within data/incoming, or any path) or
    ``file``, ``label`` (the name of the class), ``who`` and perhaps ``why``.

    Raises
    ------
    StageError
        Naming every line that is incomplete, whose image is not there or is known by another
        label or in the test set, or whose label is no class; then nothing is kept.
    """
    lines = parse(file)
    images, faults = _images(lines, root)
    faults += _objections(lines, images, root)
    if faults:
        faults.sort(key=lambda fault: fault[0])
        listed = "".join(f"\n  line {number}: {why}" for number, why in faults)
        raise StageError(f"{file}: nothing was taken, as these lines cannot be:{listed}")
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    said = [Correction(line.id, line.label, line.who, today, line.why) for line in lines]
    pixels = np.stack([images[line.number] for line in lines])
    return _keep(root, pixels, said)


def parse(file: Path) -> list[Line]:
    """Return the lines of ``file``.

    Raises
    ------
    StageError
        If it cannot be read, lacks a column or holds no line.
    """
    try:
        text = file.read_bytes().decode("utf-8-sig")  # spreadsheets put a mark before it
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        rows = [(reader.line_num, fields) for fields in reader if any(fields)]
    except FileNotFoundError:
        raise StageError(f"{file}: expected a file with corrections; found none") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise StageError(f"{file}: expected CSV in UTF-8; {error}") from None
    header = [name.strip().lower() for name in rows[0][1]] if rows else []
    named = [name for name in ("id", "file") if name in header]
    if len(named) != 1 or not {"label", "who"} <= {*header}:
        got = ", ".join(header) or "an empty file"
        raise StageError(f"{file}, line 1: expected the columns {COLUMNS}; got {got}")
    if len(rows) == 1:
        raise StageError(f"{file}: expected a line for each correction; there is none")
    found = []
    for number, fields in rows[1:]:
        given = dict(zip(header, map(str.strip, fields), strict=False))
        words = (given.get(name, "") for name in (named[0], "label", "who", "why"))
        found.append(Line(number, *words))
    return found


Fault = tuple[int, str]
"""The number of a line and what is wrong in it."""


def _images(lines: Sequence[Line], root: Path) -> tuple[dict[int, np.ndarray], list[Fault]]:
    """Return the image of each line by its number, and why there is none."""
    found: dict[int, np.ndarray] = {}
    faults: list[Fault] = []
    for line in lines:
        try:
            found[line.number] = _image(line.id, root)
        except StageError as error:
            faults.append((line.number, str(error)))
        if not line.who:
            faults.append((line.number, "who must be the name of who says so; got ''"))
    return found, faults


def _image(name: str, root: Path) -> np.ndarray:
    if not name:
        raise StageError("id must name an image; got ''")
    place = root / INCOMING
    inside = (place / name.partition("#")[0]).is_file()
    image = pick(name, place if inside else root)
    if not image.any():
        raise StageError(f"{name}: nothing is drawn there")
    return image


def _objections(lines: Sequence[Line], images: dict[int, np.ndarray], root: Path) -> list[Fault]:
    """Return what speaks against lines, by classes and by the images that are known."""
    told, known = about.read(root), _known(root)
    faults = []
    for line in lines:
        if line.number not in images:
            if line.label not in told.classes:
                faults.append((line.number, objection({}, "", line.label, told.classes)))
            continue
        (digest,) = hashes(images[line.number][None])
        found = known.get(digest)
        why = objection(known, digest, line.label, told.classes)
        if not why and found:
            why = f"there is nothing to correct: it is {found.what}, with this very label"
        elif why and found and found.label is not None and line.label in told.classes:
            why += _way_on(found)
        if why:
            faults.append((line.number, why))
        else:
            known[digest] = Held(line.label, f"line {line.number}")
    return faults


def _way_on(found: Held) -> str:
    if found.what.startswith("line"):
        return ""
    if found.what.startswith("training image"):
        return "; labels of the data set are corrected in data/label_reviews.csv"
    return (
        "; delete that batch's .dvc file to take it back, or correct it in data/label_reviews.csv"
    )


def _known(root: Path) -> dict[str, Held]:
    """Return what is known of all images that a run has."""
    told = about.read(root)
    folder = root / about.FILE.parent
    train, test = (
        files.read_array(folder / f"{part}_images.npy", np.uint8, (None, 28, 28))
        for part in ("train", "test")
    )
    labels = files.read_array(folder / "train_labels.npy", np.uint8, (len(train),))
    own = told.rows["train"]
    names = [told.classes[label] for label in labels[:own]]
    known = held(train[:own], names, test, told.numbering())
    for batch in feedback_files.read(root):
        where = f"a correction in {FOLDER / batch.name}"
        for digest, said in zip(hashes(batch.images), batch.corrections, strict=True):
            known.setdefault(digest, Held(said.label, where))
    return known


def _keep(root: Path, images: np.ndarray, said: list[Correction]) -> Accepted:
    place = root / FOLDER
    place.mkdir(parents=True, exist_ok=True)
    with _turn(root) as repo:
        _tidy(place)
        with tempfile.TemporaryDirectory(dir=place, prefix=_HALF) as temporary:
            made = Path(temporary) / "batch"
            feedback_files.write(made, images, said)
            content = (made / feedback_files.LABELS).read_bytes() + images.tobytes()
            digest = hashlib.sha256(content).hexdigest()[:8]
            name = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{digest}"
            made.rename(place / name)
        try:
            repo.scm_context.quiet = True  # what to commit is said by the caller
            repo.add(str(place / name))
        except BaseException:
            shutil.rmtree(place / name)
            raise
    return Accepted(name, len(said), FOLDER / f"{name}.dvc")


def _tidy(place: Path) -> None:
    """Take away what processes left behind that were killed: what nothing tracks."""
    for folder in place.iterdir():
        untracked = _NAME.fullmatch(folder.name) and not Path(f"{folder}.dvc").exists()
        if untracked or folder.name.startswith(_HALF):
            shutil.rmtree(folder)


@contextmanager
def _turn(root: Path) -> Iterator[Any]:
    """Open DVC's ``Repo`` and wait until nobody else uses it, or reads the folder.

    A stage that reads the folder at this moment must not see a batch appear: DVC would take
    it to have read that.
    """
    from dvc.lock import LockError
    from dvc.repo import lock_repo
    from dvc.rwlock import rwlock

    path = str((root / FOLDER).resolve())
    command = " ".join(sys.argv)  # as DVC names who holds a lock: its own calls below join in
    end = time.monotonic() + PATIENCE
    with store.opened(root) as repo, ExitStack() as locks:
        while True:
            try:
                locks.enter_context(lock_repo(repo))
                locks.enter_context(rwlock(repo.tmp_dir, repo.fs, command, [], [path], False))
                break
            except LockError as error:
                locks.pop_all().close()
                if time.monotonic() > end:
                    raise StageError(
                        f"{FOLDER} has been in use for more than {PATIENCE} s: a run reads it, or "
                        f"another correction is taken. Try again in a while; {error}"
                    ) from None
            time.sleep(0.2)
        yield repo
