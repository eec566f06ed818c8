"""Parquet: columns of pixels, a column of arrays, or pictures as Hugging Face stores them."""

import io
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tasks.io.readers import columns, pictures
from tasks.io.readers.rows import (
    Block,
    FormatError,
    Labels,
    Part,
    block,
    image_shape,
    names,
    upright,
)

if TYPE_CHECKING:
    import pyarrow as pa

_BUFFER = 1 << 16  # bytes of each column that are read ahead
_PICTURES = ("image", "img", "picture", "pixels", "images", "features", "x")


def parquet(path: Path) -> list[Part]:
    """Return the rows of a Parquet file as one part."""
    import pyarrow
    from pyarrow.parquet import ParquetFile

    try:
        with ParquetFile(path) as file:
            schema, count = file.schema_arrow, file.metadata.num_rows
    except pyarrow.ArrowException as error:
        raise FormatError(f"expected Parquet; {' '.join(str(error).split())}") from None
    pixels, label = _layout(schema)
    classes = _class_names(schema, label)
    wanted = [schema.names[place] for place in (*pixels, *([] if label is None else [label]))]

    def blocks(skip: int, rows: int) -> Iterator[Block]:
        try:
            with ParquetFile(path, buffer_size=_BUFFER, pre_buffer=False) as file:
                for batch in _batches(file, wanted, skip, rows):
                    labels = None
                    if label is not None:
                        labels = _labels(batch.column(len(pixels)), classes)
                    yield _block(batch, len(pixels), labels)
        except pyarrow.ArrowException as error:
            raise FormatError(f"damaged Parquet; {' '.join(str(error).split())}") from None

    return [Part("", count, blocks)]


def _layout(schema: "pa.Schema") -> tuple[list[int], int | None]:
    """Return the columns that hold an image, one or one a pixel, and the label's or None."""
    import pyarrow.types as kinds

    def holds_images(kind: "pa.DataType") -> bool:
        if kinds.is_struct(kind):
            return kind.get_field_index("bytes") >= 0
        binary = kinds.is_binary(kind) or kinds.is_large_binary(kind)
        return binary or kinds.is_list(kind) or kinds.is_large_list(kind) or _is_fixed(kind)

    found = [place for place, field in enumerate(schema) if holds_images(_plain(field.type))]
    if not found:
        layout = columns.named(schema.names)
        return layout.pixels, layout.label
    found.sort(key=lambda place: schema.names[place].lower() not in _PICTURES)
    lower = [name.lower() for name in schema.names]
    label = next((lower.index(name) for name in columns.LABELS if name in lower), None)
    return found[:1], label


def _plain(kind: "pa.DataType") -> "pa.DataType":
    return getattr(kind, "storage_type", kind)


def _is_fixed(kind: "pa.DataType") -> bool:
    import pyarrow.types as kinds

    return kinds.is_fixed_size_list(kind)


def _class_names(schema: "pa.Schema", label: int | None) -> list[str] | None:
    """Return the names of the classes that Hugging Face's datasets note for whole numbers."""
    note = (schema.metadata or {}).get(b"huggingface")
    if note is None or label is None:
        return None
    try:
        feature = json.loads(note)["info"]["features"][schema.names[label]]
        return list(map(str, feature["names"])) if feature["_type"] == "ClassLabel" else None
    except (ValueError, KeyError, TypeError):
        return None


def _batches(file: Any, wanted: list[str], skip: int, rows: int) -> Iterator["pa.RecordBatch"]:
    """Yield the rows but for the first ``skip``; groups of rows before it are not read."""
    groups = list(range(file.num_row_groups))
    while groups and skip >= (size := file.metadata.row_group(groups[0]).num_rows):
        skip -= size
        groups.pop(0)
    for batch in file.iter_batches(rows, groups, wanted, use_threads=False) if groups else ():
        passed = min(skip, len(batch))
        skip -= passed
        if passed < len(batch):
            yield batch.select(wanted).slice(passed)


def _labels(column: "pa.Array", classes: list[str] | None) -> Labels:
    found = names(np.array(column.to_pylist(), object))
    if classes is None:
        return found
    by_number = {str(number): name for number, name in enumerate(classes)}
    return [by_number.get(label, label) if label is not None else None for label in found]


def _block(batch: "pa.RecordBatch", pixels: int, labels: Labels | None) -> Block:
    import pyarrow.types as kinds

    nothing: Labels = [None] * len(batch)
    told = nothing if labels is None else labels
    if pixels > 1:
        return _of_columns(batch, pixels, told)
    column = batch.column(0)
    column = getattr(column, "storage", column)
    if kinds.is_struct(column.type):
        column = column.field("bytes")
    if kinds.is_binary(column.type) or kinds.is_large_binary(column.type):
        return _of_pictures(column, told)
    return _of_lists(column, told)


def _of_columns(batch: "pa.RecordBatch", pixels: int, labels: Labels) -> Block:
    first = batch.column(0).to_numpy(zero_copy_only=False)
    array = np.empty((len(batch), pixels), first.dtype)
    gaps = np.zeros(len(batch), bool)
    for place in range(pixels):
        column = batch.column(place)
        if column.null_count:
            gaps |= column.is_null().to_numpy(zero_copy_only=False)
            column = column.fill_null(0)
        array[:, place] = column.to_numpy(zero_copy_only=False)
    side = math.isqrt(pixels)
    faults = ["expected numbers as pixels; got none" if gap else None for gap in gaps.tolist()]
    return Block(array.reshape(-1, side, side), labels, faults)


def _of_pictures(column: "pa.Array", labels: Labels) -> Block:
    images, faults = [], list[str | None]()
    for content in column:
        try:
            if content.as_py() is None:
                raise FormatError("expected a picture; got none")
            images.append(pictures.picture(io.BytesIO(content.as_py())))
            faults.append(None)
        except FormatError as error:
            images.append(np.zeros((1, 1), np.uint8))
            faults.append(str(error))
    return Block(images, labels, faults)


def _of_lists(column: "pa.Array", labels: Labels) -> Block:
    """Return arrays in lists, flat or in lists of their own, as images."""
    shape = _one_shape(column)
    if shape is not None:
        values = column
        while hasattr(values, "flatten") and hasattr(values.type, "value_type"):
            values = values.flatten()
        array = values.to_numpy(zero_copy_only=False).reshape(len(column), *shape)
        image = image_shape(shape, "the column of images")
        return block(upright(array.reshape(-1, *image)), labels)
    images, faults = [], list[str | None]()
    for row in column:
        try:
            array = np.array(row.as_py(), np.float64)
            images.append(array.reshape(image_shape(array.shape, "the image")))
            faults.append(None)
        except (FormatError, ValueError, TypeError):
            images.append(np.zeros((1, 1), np.uint8))
            faults.append("expected the pixels of an image; got lists of another shape")
    return Block(images, labels, faults)


def _one_shape(column: "pa.Array") -> tuple[int, ...] | None:
    """Return the shape of every row where all have the same and no number is missing."""
    shape = []
    count = len(column)
    while hasattr(column.type, "value_type"):
        if column.null_count or not count:
            return None
        inner = column.flatten()
        size, rest = divmod(len(inner), count)
        lengths = column.value_lengths() if not _is_fixed(column.type) else None
        if rest or (lengths is not None and not (lengths.to_numpy() == size).all()):
            return None
        shape.append(size)
        column, count = inner, len(inner)
    return tuple(shape) if not column.null_count else None
