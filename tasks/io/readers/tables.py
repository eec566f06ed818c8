"""CSV of pixels: Kaggle's, OpenML's, UCI's, with a header or without, gzipped or not.

Lines are parsed some thousands at a time by Arrow; only a block with a bad line is gone
through line by line, so that the line alone is lost.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from tasks.io.readers import columns
from tasks.io.readers.columns import Layout
from tasks.io.readers.idxs import opened
from tasks.io.readers.rows import Block, FormatError, Labels, Part, names

_READ = 4 << 20  # bytes at a time
_LONGEST = 64 << 20  # bytes of a line
_SAMPLE = 400  # lines from which the layout is told


class Form(NamedTuple):
    """How a table is written."""

    separator: str
    header: bool
    width: int  # columns
    layout: Layout
    small: bool  # pixels are whole numbers up to 255, as far as seen


def comma_separated(path: Path) -> list[Part]:
    """Return the rows of a table of pixels as one part."""
    form = _form(path)

    def blocks(skip: int, rows: int) -> Iterator[Block]:
        with opened(path) as file:
            for lines in _grouped(_lines(file), rows, skip + form.header):
                yield _parsed(lines, form)

    return [Part("", None, blocks)]


def _lines(file: IO[bytes]) -> Iterator[list[bytes]]:
    """Yield the lines of a file that are not blank, many at a time."""
    rest = b""
    while content := file.read(_READ):
        *lines, rest = (rest + content).split(b"\n")
        if len(rest) > _LONGEST:
            raise FormatError(f"expected lines of at most {_LONGEST:,} bytes; got a longer one")
        yield [line for line in lines if not line.isspace() and line]
    if rest.strip():
        yield [rest]


def _grouped(many: Iterator[list[bytes]], rows: int, skip: int) -> Iterator[list[bytes]]:
    """Yield the lines but for the first ``skip``, at most ``rows`` at a time."""
    waiting: list[bytes] = []
    for lines in many:
        passed = min(skip, len(lines))
        skip -= passed
        waiting += lines[passed:] if passed else lines
        while len(waiting) >= rows:
            yield waiting[:rows]
            waiting = waiting[rows:]
    if waiting:
        yield waiting


def _form(path: Path) -> Form:
    with opened(path) as file:
        lines = next(_lines(file), [])[:_SAMPLE]
    if not lines:
        raise FormatError("expected a table of pixels; got an empty file")
    lines[0] = lines[0].removeprefix(b"\xef\xbb\xbf")  # Excel's mark of UTF-8
    first = lines[0].decode("utf-8", "replace")
    separator = max(",;\t ", key=first.count)
    head = _cells(lines[0], separator)
    # A label may be text in a table without header; hardly half of the columns may.
    header = bool(sum(np.isnan(_number(cell)) for cell in head) > len(head) / 2)
    if header:
        layout = columns.named(head)
    cells = [_cells(line, separator) for line in lines[header:]]
    cells = [row for row in cells if len(row) == len(head)]
    sample = np.array([[_number(cell) for cell in row] for row in cells]).reshape(-1, len(head))
    if not header:
        layout = columns.unnamed(sample)
    pixels = sample[:, layout.pixels]
    small = bool((np.isfinite(pixels) & (pixels % 1 == 0) & (pixels >= 0) & (pixels < 256)).all())
    return Form(separator, header, len(head), layout, small)


def _cells(line: bytes, separator: str) -> list[str]:
    text = line.decode("utf-8", "replace").strip("\r\n")
    if separator == " ":
        return text.split()
    return [cell.strip(" '") for cell in next(csv.reader([text], delimiter=separator), [])]


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return float("nan")


def _parsed(lines: Sequence[bytes], form: Form) -> Block:
    for kind in ("uint8", "double") if form.small else ("double",):
        if (found := _by_arrow(lines, form, kind)) is not None:
            pixels, labels = found
            return Block(_squares(pixels), labels, [None] * len(labels))
    return _line_by_line(lines, form)


def _squares(pixels: np.ndarray) -> np.ndarray:
    side = round(pixels.shape[1] ** 0.5)
    return pixels.reshape(-1, side, side)


def _by_arrow(lines: Sequence[bytes], form: Form, kind: str) -> tuple[np.ndarray, Labels] | None:
    """Return pixels ``(n, width)`` and labels, or None if any line is not as it should be."""
    import pyarrow
    from pyarrow import csv as arrow

    if form.separator == " ":
        lines = [b" ".join(line.split()) for line in lines]
    titles = [str(place) for place in range(form.width)]
    types = dict.fromkeys((titles[place] for place in form.layout.pixels), kind)
    wanted = [titles[place] for place in form.layout.pixels]
    if form.layout.label is not None:
        wanted.append(titles[form.layout.label])
        types[titles[form.layout.label]] = "string"
    content = b"\n".join(lines)
    try:
        table = arrow.read_csv(
            io.BytesIO(content),
            arrow.ReadOptions(
                column_names=titles, use_threads=False, block_size=len(content) + 1024
            ),
            arrow.ParseOptions(delimiter=form.separator),
            arrow.ConvertOptions(column_types=types, include_columns=wanted, null_values=[]),
        )
    except (pyarrow.ArrowException, ValueError):
        return None
    if len(table) != len(lines):
        return None
    pixels = np.empty((len(lines), len(form.layout.pixels)), kind)
    for place in range(pixels.shape[1]):
        pixels[:, place] = table.column(place).to_numpy()
    if not np.isfinite(pixels).all():
        return None
    if form.layout.label is None:
        return pixels, [None] * len(lines)
    labels = table.column(pixels.shape[1]).to_pylist()
    return pixels, names([label.strip(" '") for label in labels])  # quotes: as ARFF has them


def _line_by_line(lines: Sequence[bytes], form: Form) -> Block:
    images, labels, faults = [], Labels(), list[str | None]()
    side = round(len(form.layout.pixels) ** 0.5)
    for line in lines:
        cells = _cells(line, form.separator)
        image, label, fault = np.zeros((side, side)), None, None
        if len(cells) != form.width:
            fault = f"expected {form.width} columns; got {len(cells)}"
        else:
            image = np.array([_number(cells[place]) for place in form.layout.pixels])
            image = image.reshape(side, side)
            label = cells[form.layout.label] if form.layout.label is not None else None
            if not np.isfinite(image).all():
                fault = f"expected numbers as pixels; got {_strange(cells, form)!r}"
        images.append(image)
        labels += names([label])
        faults.append(fault)
    return Block(images, labels, faults)


def _strange(cells: Sequence[str], form: Form) -> str:
    numbers = ((cells[place], _number(cells[place])) for place in form.layout.pixels)
    return next(cell for cell, number in numbers if not np.isfinite(number))[:40]
