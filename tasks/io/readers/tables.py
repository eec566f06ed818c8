"""Tables of pixels: CSV and Parquet, read block by block."""

import csv
import gzip
import io
import math
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from tasks.io.readers.pictures import picture
from tasks.io.readers.rows import BUDGET, Block, FormatError, Part, image_shape, names

LABELS = ("label", "class", "target", "y", "digit", "labels", "targets")
"""Names of the column that tells the class."""
_EMPTY = np.zeros((1, 1), np.uint8)


class _Layout(NamedTuple):
    """Where the pixels and the label stand in a row of so many fields."""

    pixels: list[int]
    label: int | None
    shape: tuple[int, ...]
    fields: int


def comma_separated(path: Path) -> list[Part]:
    """Return the rows of a CSV: Kaggle's, OpenML's, or UCI's without a header.

    A column named label, class, target … tells the class; without a header it is the first or
    the last column, whichever leaves a square's pixels (both would: the last, as UCI has it,
    unless only the first has few enough values).
    """
    with _text(path) as file:
        first = list(islice(csv.reader(file), 100))
    if not first:
        raise FormatError("expected rows of pixels; got an empty file")
    header = [name.strip() for name in first[0]] if not all(map(_is_number, first[0])) else None
    rows = first[1:] if header else first
    layout = _named(header) if header else _unnamed(rows)

    def blocks(skip: int, most: int) -> Iterator[Block]:
        size = max(1, min(most, BUDGET // (8 * layout.fields)))
        with _text(path) as file:
            lines = csv.reader(file)
            kept = filter(None, lines)  # an empty line is no row
            for _ in islice(kept, (header is not None) + skip):
                pass
            try:
                while part := list(islice(kept, size)):
                    yield _block(part, layout)
            except (csv.Error, UnicodeDecodeError) as error:
                raise FormatError(f"line {lines.line_num + 1}: {error}") from None

    return [Part("", None, layout.label is not None, blocks)]


def _text(path: Path) -> IO[str]:
    with path.open("rb") as file:
        gzipped = file.read(2) == b"\x1f\x8b"
    opened = gzip.open if gzipped else open
    return opened(path, "rt", encoding="utf-8-sig", newline="")


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


def _named(header: Sequence[str]) -> _Layout:
    """Return the layout of columns with names."""
    lower = [name.strip("'\"").lower() for name in header]
    label = next((lower.index(name) for name in LABELS if name in lower), None)
    others = [place for place in range(len(header)) if place not in (label, _index(lower))]
    return _Layout(others, label, image_shape((len(others),), "columns"), len(header))


def _index(lower: Sequence[str]) -> int | None:
    """Return the column of row numbers that pandas writes, which has no name."""
    return 0 if lower[0] in ("", "index", "unnamed: 0", "id") else None


def _unnamed(rows: Sequence[Sequence[str]]) -> _Layout:
    count = len(rows[0])
    if math.isqrt(count) ** 2 == count:
        return _Layout(list(range(count)), None, image_shape((count,), "columns"), count)
    last = count - 1
    label = last if _few([row[-1] for row in rows], [row[0] for row in rows]) else 0
    pixels = [place for place in range(count) if place != label]
    return _Layout(pixels, label, image_shape((count - 1,), "columns"), count)


def _few(last: Sequence[str], first: Sequence[str]) -> bool:
    """Tell whether the last column is the label: the first one of most images is a blank corner."""
    return len(set(last)) >= len(set(first))


def _block(rows: Sequence[Sequence[str]], layout: _Layout) -> Block:
    """Return rows of text as images; where one is not what the first ones are, each by itself."""
    try:
        table = np.array(rows, dtype=object)
        values = table[:, layout.pixels].astype(np.float64)
        if table.shape[1] == layout.fields and np.isfinite(values).all():
            texts = table[:, layout.label].tolist() if layout.label is not None else None
            return Block(_levels(values, layout), _labels(texts, len(rows)), [None] * len(rows))
    except (ValueError, IndexError):
        pass
    return _one_by_one(rows, layout)


def _levels(values: np.ndarray, layout: _Layout) -> np.ndarray:
    """Return pixels ``(n, h, w)``: whole numbers as a byte each, others as they are."""
    whole = np.rint(values)
    fits = values.size and values.min() >= 0 and values.max() <= 255 and values.max() > 1
    if fits and np.array_equal(whole, values):
        values = whole.astype(np.uint8)
    return values.reshape(-1, *layout.shape)


def _labels(texts: Sequence[Any] | None, count: int) -> list[str | None]:
    if texts is None:
        return [None] * count
    return names([_number(str(text).strip().strip("'\"")) for text in texts])


def _number(text: str) -> Any:
    return float(text) if _is_number(text) else text


def _one_by_one(rows: Sequence[Sequence[str]], layout: _Layout) -> Block:
    images: list[np.ndarray] = []
    labels: list[str | None] = []
    faults: list[str | None] = []
    for row in rows:
        fault = None
        if len(row) != layout.fields:
            fault = f"expected {layout.fields} fields; got {len(row)}"
        elif wrong := [row[place] for place in layout.pixels if not _is_finite(row[place])]:
            fault = f"expected numbers as pixels; got {wrong[0]!r}"
        values = None if fault else np.array([[float(row[place]) for place in layout.pixels]])
        images.append(_EMPTY if values is None else _levels(values, layout)[0])
        told = [row[layout.label]] if layout.label is not None and not fault else None
        labels += _labels(told, 1)
        faults.append(fault)
    return Block(images, labels, faults)


def _is_finite(field: str) -> bool:
    return _is_number(field) and math.isfinite(float(field))


def parquet(path: Path) -> list[Part]:
    """Return the rows of a Parquet file: a column a pixel, one of lists, or one of pictures.

    Pictures are encoded bytes, as Hugging Face's data sets have them: ``{bytes, path}``.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
        schema, count = file.schema_arrow, file.metadata.num_rows
    except pa.ArrowException as error:
        raise FormatError(str(error).strip().partition("\n")[0]) from None
    lower = [name.lower() for name in schema.names]
    label = next((schema.names[lower.index(name)] for name in LABELS if name in lower), None)
    numbers, nested = [], []
    for field in schema:
        if field.name == label or field.name.startswith("__index"):
            continue
        if pa.types.is_integer(field.type) or pa.types.is_floating(field.type):
            numbers.append(field.name)
        elif not pa.types.is_string(field.type):
            nested.append(field.name)
    chosen = nested[:1] or numbers
    if not chosen:
        raise FormatError(f"expected a column of images or of pixels; got {schema.names}")

    def blocks(skip: int, rows: int) -> Iterator[Block]:
        size = max(1, min(rows, BUDGET // (8 * 784)))
        columns = [*chosen, *([label] if label else [])]
        try:
            for batch in _batches(path, columns, skip, size):
                texts = batch.column(label).to_pylist() if label else None
                yield _taken(batch, chosen, nested, _labels(texts, batch.num_rows))
        except pa.ArrowException as error:
            raise FormatError(str(error).strip().partition("\n")[0]) from None

    return [Part("", count, label is not None, blocks)]


def _batches(path: Path, columns: list[str], skip: int, size: int) -> Iterator[Any]:
    """Yield record batches behind the first ``skip`` rows; whole row groups are not read."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        groups = list[int]()
        for number in range(file.num_row_groups):
            rows = file.metadata.row_group(number).num_rows
            if skip >= rows and not groups:
                skip -= rows
            else:
                groups.append(number)
        for batch in file.iter_batches(size, row_groups=groups, columns=columns) if groups else ():
            passed = min(skip, batch.num_rows)
            skip -= passed
            if passed < batch.num_rows:
                yield batch.slice(passed)


def _taken(batch: Any, chosen: list[str], nested: list[str], labels: list[str | None]) -> Block:
    count = batch.num_rows
    if not nested:
        columns = [batch.column(name).to_numpy(zero_copy_only=False) for name in chosen]
        values = np.stack(columns, axis=1)
        shape = image_shape((len(chosen),), "columns")
        whole = values.dtype.kind in "iu" and values.size and 0 <= values.min() <= values.max()
        values = values.astype(np.uint8) if whole and values.max() <= 255 else values
        return Block(values.reshape(-1, *shape), labels, [None] * count)
    images: list[np.ndarray] = []
    faults: list[str | None] = []
    for cell in batch.column(chosen[0]).to_pylist():
        try:
            images.append(_image(cell))
            faults.append(None)
        except (FormatError, ValueError, TypeError) as error:
            images.append(_EMPTY)
            faults.append(" ".join(str(error).split()))
    return Block(images, labels, faults)


def _image(cell: Any) -> np.ndarray:
    """Return the pixels of one cell: encoded bytes, a struct with them, or (lists of) numbers."""
    content = cell.get("bytes") if isinstance(cell, dict) else cell
    if isinstance(content, bytes):
        return picture(io.BytesIO(content))
    if content is None:
        raise FormatError("expected an image; the cell is empty")
    values = np.array(content)
    if values.dtype.kind not in "biuf" or not values.size:
        raise FormatError("expected numbers as pixels, or the bytes of a picture")
    whole = values.dtype.kind in "iu" and values.min() >= 0 and values.max() <= 255
    return (values.astype(np.uint8) if whole else values).reshape(image_shape(values.shape, "cell"))
