"""Images from any paths as one stream of chunks, normalised, in bounded memory."""

import itertools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tasks.core.normalize import SIDE, follows_convention, normalize, to_grey, to_levels
from tasks.io.readers import formats, pictures
from tasks.io.readers.paths import File, expand
from tasks.io.readers.rows import Block, FormatError, Part
from tasks.io.stage import StageError


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
    """Yield the images of files, folders, globs or "-" (standard input), ``rows`` a chunk.

    The order is always the same; the first ``skip`` rows are passed over without being read
    where the format allows. Ids are relative to ``base``, and so are the paths; without it
    they are as given. What cannot be read becomes a row with a fault.

    Raises
    ------
    StageError
        If a path does not exist or a glob matches nothing.
    """
    files = expand(paths, base)
    pieces = _pieces(files, rows, skip, base)
    yield from _regrouped(pieces, rows)


def pick(id: str, base: Path | None = None) -> np.ndarray:  # noqa: A002  # it is called so everywhere
    """Return the normalised image ``(28, 28)`` uint8 of one id that `read` gave.

    Raises
    ------
    StageError
        If the id names no file or no row that is there, or its image cannot be read.
    """
    place = (base / id) if base else Path(id)
    if place.is_file() and formats.kind(place) == formats.PICTURE:
        block = _pictures([File(place, formats.PICTURE)])
    else:
        block = _row(id, base)
    image, fault = normalised(block)[0][0], block.faults[0]
    if fault is not None:
        raise StageError(f"{id}: {fault}")
    return image


def _row(id: str, base: Path | None) -> Block:  # noqa: A002
    match = re.fullmatch(r"(.+)#(?:(\w+)/)?(\d+)", id)
    if match is None:
        raise StageError(f"{id}: expected an image file, or a path and a row: images.npz#12")
    path = (base / match[1]) if base else Path(match[1])
    try:
        for part in formats.parts(path):
            if part.split == (match[2] or ""):
                return next(part.blocks(int(match[3]), 1))
    except FormatError as error:
        raise StageError(f"{id}: {error}") from None
    except (FileNotFoundError, StopIteration):
        pass
    raise StageError(f"{id}: no such row")


def count(paths: Sequence[str | Path], base: Path | None = None) -> int | None:
    """Return how many rows `read` will give; None if only reading them all would tell."""
    total = 0
    for file in expand(paths, base):
        if file.kind == formats.PICTURE:
            total += 1
            continue
        try:
            counts = [part.size for part in formats.parts(file.path, file.kind)]
        except FormatError:
            counts = [1]
        if None in counts:
            return None
        total += sum(filter(None, counts))
    return total


def _pieces(
    files: Iterator[File], rows: int, skip: int, base: Path | None
) -> Iterator[tuple[list[str], Block]]:
    """Yield ids and blocks of all files but for the first ``skip`` rows."""
    for is_picture, group in itertools.groupby(files, lambda file: file.kind == formats.PICTURE):
        if is_picture:
            skipped = len(list(itertools.islice(group, skip)))
            skip -= skipped
            while batch := list(itertools.islice(group, rows)):
                yield [_name(file, base) for file in batch], _pictures(batch)
            continue
        for file in group:
            for ids, block, passed in _container(file, rows, skip, base):
                skip -= passed
                if ids:
                    yield ids, block


def _container(
    file: File, rows: int, skip: int, base: Path | None
) -> Iterator[tuple[list[str], Block, int]]:
    """Yield ids, blocks, and how many rows were skipped for each."""
    name = _name(file, base)
    try:
        parts = formats.parts(file.path, file.kind)
    except FormatError as error:
        yield ([], _fault(""), 1) if skip else ([name], _fault(str(error)), 0)
        return
    for part in parts:
        prefix = f"{name}#{part.split}/" if part.split else f"{name}#"
        passed = min(skip, _size(part, skip, rows))
        skip -= passed
        yield [], _fault(""), passed
        at = passed
        try:
            for block in part.blocks(passed, rows):
                size = len(block.faults)
                yield [f"{prefix}{row}" for row in range(at, at + size)], block, 0
                at += size
        except FormatError as error:
            yield [f"{prefix}{at}"], _fault(str(error)), 0


def _size(part: Part, skip: int, rows: int) -> int:
    """Return how many rows a part has, or ``skip`` where it surely has more."""
    if part.size is not None:
        return part.size
    if not skip or next(part.blocks(skip, 1), None):
        return skip
    return sum(len(block.faults) for block in part.blocks(0, rows))


def _pictures(files: Sequence[File]) -> Block:
    images, faults = [], list[str | None]()
    for file in files:
        try:
            images.append(pictures.picture(file.path))
            faults.append(None)
        except FormatError as error:
            images.append(np.zeros((1, 1), np.uint8))
            faults.append(str(error))
    return Block(images, [file.label for file in files], faults)


def _fault(reason: str) -> Block:
    return Block([np.zeros((1, 1), np.uint8)], [None], [reason])


def _name(file: File, base: Path | None) -> str:
    if file.shown is not None:
        return file.shown
    path = file.path
    if base is not None and path.is_relative_to(base):
        path = path.relative_to(base)
    return path.as_posix()


def normalised(block: Block) -> tuple[np.ndarray, list[str | None]]:
    """Return a block's images by the convention, and its faults with those found now."""
    faults = list(block.faults)
    images = np.zeros((len(faults), SIDE, SIDE), np.uint8)
    ready = np.zeros(len(faults), bool)
    if isinstance(block.images, np.ndarray) and block.images.shape[1:] == (SIDE, SIDE):
        levels = to_levels(block.images)
        ready = follows_convention(levels)
        images[ready] = levels[ready]
    for row in np.flatnonzero(~ready):
        image = block.images[row]
        if faults[row] is None:
            try:
                images[row] = normalize(to_grey(image))
            except ValueError as error:
                faults[row] = str(error)
    return images, faults


def _regrouped(pieces: Iterator[tuple[list[str], Block]], rows: int) -> Iterator[Chunk]:
    """Yield chunks of exactly ``rows`` rows, but for the last."""
    ids: list[str] = []
    labels: list[str | None] = []
    faults: list[str | None] = []
    images: list[np.ndarray] = []
    for names, block in pieces:
        found, reasons = normalised(block)
        ids += names
        labels += block.labels
        faults += reasons
        images.append(found)
        while len(ids) >= rows:
            joined = np.concatenate(images)
            yield Chunk(ids[:rows], joined[:rows], labels[:rows], faults[:rows])
            ids, labels, faults, images = ids[rows:], labels[rows:], faults[rows:], [joined[rows:]]
    if ids:
        yield Chunk(ids, np.concatenate(images), labels, faults)
