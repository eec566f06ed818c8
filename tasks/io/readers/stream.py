"""Images from any paths as one stream of chunks, normalised, in bounded memory."""

import itertools
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tasks.io.readers import formats, pictures
from tasks.io.readers.normalized import normalized
from tasks.io.readers.paths import STDIN, File, expand
from tasks.io.readers.rows import Block, FormatError, Labels, Part, block, faulty
from tasks.io.stage import StageError

Named = tuple[list[str], Block]


class Chunk(NamedTuple):
    """Rows of a stream, all lists of one length ``n``.

    An image file's id is its path, "<path>#<row>" (from 0) is a row of a file that holds many,
    "<path>#test/<row>" one of a file with splits.
    """

    ids: list[str]
    images: np.ndarray  # (n, 28, 28) uint8 by MNIST's convention; zeros where there is a fault
    labels: list[str | None]  # class names as the source tells them
    faults: list[str | None]  # why a row could not be read


def read(
    paths: Sequence[str | Path], *, rows: int = 4096, skip: int = 0, base: Path | None = None
) -> Iterator[Chunk]:
    """Return the images of files, folders, globs or "-" (standard input), ``rows`` a chunk.

    The order is always the same. The first ``skip`` rows are passed over, where the format
    allows without reading them. Ids are relative to ``base`` where a path lies below it; else
    they are as given. What cannot be read becomes a row with a fault.

    Raises
    ------
    StageError
        If a path does not exist or a glob matches nothing, at once.
    """
    return _regrouped(_pieces(expand(paths), rows, skip, base), rows)


def pick(id: str, base: Path | None = None) -> np.ndarray:  # noqa: A002  # called so everywhere
    """Return the normalised image ``(28, 28)`` uint8 of one id that `read` gave.

    Raises
    ------
    StageError
        If the id names no file or no row that is there, or its image cannot be read.
    """
    path = Path(base or "", id).expanduser()
    if path.is_file() and formats.kind(path) == formats.PICTURE:
        found = _pictures([File(path, formats.PICTURE)])
    else:
        found = _row(id, base)
    images, faults = normalized(found)
    if faults[0] is not None:
        raise StageError(f"{id}: {faults[0]}")
    image: np.ndarray = images[0]
    return image


def _row(id: str, base: Path | None) -> Block:  # noqa: A002
    match = re.fullmatch(r"(.+)#(?:([a-z]+)/)?(\d+)", id)
    if match is None:
        what = "there is no such picture" if "#" not in id else "that is no row"
        raise StageError(f"{id}: {what}; expected a picture's path, or a path and a row: a.npz#12")
    path = Path(base or "", match[1]).expanduser()
    if not path.is_file():
        raise StageError(f"{id}: {path} is no file")
    try:
        for part in formats.parts(path):
            if part.split == (match[2] or ""):
                for found in part.blocks(int(match[3]), 1):
                    return found
    except (FormatError, *formats.DAMAGE) as error:
        raise StageError(f"{id}: {error}") from None
    raise StageError(f"{id}: {path.name} has no such row")


def count(paths: Sequence[str | Path], base: Path | None = None) -> int | None:
    """Return how many rows `read` will give; None if only reading them all would tell.

    Raises
    ------
    StageError
        As `read` does.
    """
    total = 0
    for file in expand(paths, base):
        lengths = [1] if file.kind == formats.PICTURE else _lengths(file)
        for length in lengths:
            if length is None:
                return None
            total += length
    return total


def _lengths(file: File) -> list[int | None]:
    if str(file.path) == STDIN:
        return [None]
    try:
        return [part.size for part in formats.parts(file.path, file.kind)]
    except FormatError:
        return [1]  # the row that tells the fault


def _pieces(files: Iterator[File], rows: int, skip: int, base: Path | None) -> Iterator[Named]:
    """Yield ids and blocks of all files but for the first ``skip`` rows."""
    left = _Countdown(skip)
    for is_picture, group in itertools.groupby(files, lambda file: file.kind == formats.PICTURE):
        if is_picture:
            left.pass_over(sum(1 for _ in itertools.islice(group, left.rows)))
            while batch := list(itertools.islice(group, rows)):
                yield [_name(file.path, base) for file in batch], _pictures(batch)
            continue
        for file in group:
            if str(file.path) == STDIN:
                yield from _standard_input(rows, left)
            else:
                yield from _container(file, _name(file.path, base), rows, left)


class _Countdown:
    """How many rows are still to be passed over."""

    def __init__(self, rows: int) -> None:
        self.rows = rows

    def pass_over(self, most: int | None) -> int:
        """Take up to ``most`` rows (None: any number) from those to be passed, and say how many."""
        passed = self.rows if most is None else min(self.rows, most)
        self.rows -= passed
        return passed


def _standard_input(rows: int, left: _Countdown) -> Iterator[Named]:
    """Yield what comes by standard input, copied to a file, in which readers can look around."""
    with tempfile.NamedTemporaryFile(prefix="digitline-") as copy:
        shutil.copyfileobj(sys.stdin.buffer, copy, 1 << 20)
        copy.flush()
        path = Path(copy.name)
        file = File(path, formats.sniffed(path, text=True))
        if file.kind == formats.PICTURE:
            if not left.pass_over(1):
                yield [STDIN], _pictures([file])
        else:
            yield from _container(file, STDIN, rows, left)


def _container(file: File, name: str, rows: int, left: _Countdown) -> Iterator[Named]:
    try:
        parts = formats.parts(file.path, file.kind)
    except FormatError as error:
        if not left.pass_over(1):
            yield [name], faulty(str(error))
        return
    for part in parts:
        yield from _part(part, f"{name}#{part.split}/" if part.split else f"{name}#", rows, left)


def _part(part: Part, prefix: str, rows: int, left: _Countdown) -> Iterator[Named]:
    """Yield the rows of a part; one whose length is not known is passed over as it is read."""
    at = left.pass_over(part.size) if part.size is not None else 0
    try:
        for found in part.blocks(at, rows):
            end = at + len(found.faults)
            passed = left.pass_over(end - at)
            if passed < end - at:
                kept = Block(found.images[passed:], found.labels[passed:], found.faults[passed:])
                yield [f"{prefix}{row}" for row in range(at + passed, end)], kept
            at = end
    except (FormatError, *formats.DAMAGE) as error:
        if not left.pass_over(1):
            yield [f"{prefix}{at}"], faulty(f"{error}; what follows is lost")


def _pictures(files: Sequence[File]) -> Block:
    images, faults = [], list[str | None]()
    for file in files:
        try:
            images.append(pictures.picture(file.path))
            faults.append(None)
        except FormatError as error:
            images.append(np.zeros((1, 1), np.uint8))
            faults.append(str(error))
    return block(images, [file.label for file in files])._replace(faults=faults)


def _name(path: Path, base: Path | None) -> str:
    if base is not None and path.is_relative_to(base):
        path = path.relative_to(base)
    return path.as_posix()


def _regrouped(pieces: Iterator[Named], rows: int) -> Iterator[Chunk]:
    """Yield chunks of exactly ``rows`` rows, but for the last."""
    waiting = Chunk([], np.empty((0, 28, 28), np.uint8), [], [])
    for ids, found in pieces:
        images, faults = normalized(found)
        chunk = Chunk(ids, images, found.labels, faults)
        waiting = _joined(waiting, chunk) if waiting.ids else chunk
        while len(waiting.ids) >= rows:
            yield _part_of(waiting, slice(rows))
            waiting = _part_of(waiting, slice(rows, None))
    if waiting.ids:
        yield waiting


def _part_of(chunk: Chunk, rows: slice) -> Chunk:
    ids, images, labels, faults = chunk
    return Chunk(ids[rows], images[rows], labels[rows], faults[rows])


def _joined(one: Chunk, other: Chunk) -> Chunk:
    labels: Labels = one.labels + other.labels
    images = np.concatenate([one.images, other.images])
    return Chunk(one.ids + other.ids, images, labels, one.faults + other.faults)
