"""The table of scores: its columns, and the files that hold it, Parquet or CSV.

Columns, in this order: ``id``; ``status`` ("answered", "to a person" or "unreadable");
``prediction``, the most probable class, and ``confidence``, its probability; ``p_<class>`` for
each class, float32; ``reason`` why an image could not be read; ``model``, the version. What an
unreadable image cannot have is null there.
"""

import json
import os
import shutil
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, NamedTuple

import numpy as np

from tasks.core.abstention import ANSWERED, TO_A_PERSON
from tasks.io import files
from tasks.io.serving import Answers, Served
from tasks.io.stage import StageError

if TYPE_CHECKING:
    import pyarrow as pa

Format = Literal["parquet", "csv"]
UNREADABLE = "unreadable"
_REASONS = 5  # that are kept to be told at once


class Counts(NamedTuple):
    """How many rows have which status, and the first reasons why some could not be read."""

    rows: int = 0
    answered: int = 0
    to_a_person: int = 0
    unreadable: int = 0
    reasons: tuple[str, ...] = ()

    def plus(self, other: "Counts") -> "Counts":
        """Return the counts of both, in their order."""
        return Counts(
            self.rows + other.rows,
            self.answered + other.answered,
            self.to_a_person + other.to_a_person,
            self.unreadable + other.unreadable,
            (*self.reasons, *other.reasons)[:_REASONS],
        )


class Said(NamedTuple):
    """What a table of scores says, row by row; ``confidence`` ``(n,)`` is NaN if unreadable."""

    ids: list[str]
    predictions: list[str | None]
    confidence: np.ndarray

    @property
    def readable(self) -> np.ndarray:
        """Return which rows have an answer, bool ``(n,)``."""
        return ~np.isnan(self.confidence)

    def least_sure(self, size: int) -> list[int]:
        """Return the rows of least confidence, the least first."""
        order: list[int] = np.argsort(self.confidence, kind="stable")[:size].tolist()
        return [row for row in order if self.readable[row]]


def answers(output: Path) -> Said:
    """Return what the Parquet file of scores says."""
    from pyarrow import parquet

    found = parquet.read_table(output, columns=["id", "prediction", "confidence"])
    confidence = np.array(found["confidence"].to_numpy(), np.float32)
    return Said(found["id"].to_pylist(), found["prediction"].to_pylist(), confidence)


def format_of(output: Path) -> Format:
    """Return the format that a file's ending names.

    Raises
    ------
    StageError
        If it names none, or a folder has that name.
    """
    endings: dict[str, Format] = {".parquet": "parquet", ".csv": "csv"}
    if output.suffix.lower() not in endings:
        raise StageError(f"{output}: expected an output that ends in .parquet or .csv")
    if output.is_dir():
        raise StageError(f"{output}: expected a place for a file; a folder is there")
    return endings[output.suffix.lower()]


def schema(served: Served) -> "pa.Schema":
    """Return the columns of scores by this model."""
    import pyarrow as pa

    text, number = pa.string(), pa.float32()
    return pa.schema(
        [
            ("id", text),
            ("status", text),
            ("prediction", text),
            ("confidence", number),
            *((f"p_{name}", number) for name in served.classes),
            ("reason", text),
            ("model", text),
        ]
    )


def table(
    served: Served, ids: Sequence[str], answers: Answers, faults: Sequence[str | None]
) -> "pa.Table":
    """Return the scores of ``n`` images, all lists and arrays being of that length.

    Where ``faults`` has a text, the image could not be read, and its answers are left out.
    """
    import pyarrow as pa

    faulty = np.array([fault is not None for fault in faults], bool)
    best = answers.probabilities.argmax(1)
    status = np.where(faulty, 2, np.where(answers.answered, 0, 1))
    columns = [
        _texts(ids),
        _named(status, (ANSWERED, TO_A_PERSON, UNREADABLE)),
        _named(best, served.classes, faulty),
        pa.array(answers.probabilities.max(1), mask=faulty),
        *(pa.array(column, mask=faulty) for column in answers.probabilities.T),
        _texts(faults),
        _named(np.zeros(len(ids), int), (served.version,)),
    ]
    return pa.Table.from_arrays(columns, schema=schema(served))


def counts(scores: "pa.Table") -> Counts:
    """Return how many rows of a table have which status."""
    import pyarrow.compute as pc

    found = {row["values"]: row["counts"] for row in pc.value_counts(scores["status"]).to_pylist()}
    faulty = scores.filter(pc.is_valid(scores["reason"])).slice(0, _REASONS)
    told = zip(faulty["id"].to_pylist(), faulty["reason"].to_pylist(), strict=True)
    answered, person, unreadable = (
        found.get(name, 0) for name in (ANSWERED, TO_A_PERSON, UNREADABLE)
    )
    reasons = tuple(f"{name}: {why}" for name, why in told)
    return Counts(len(scores), answered, person, unreadable, reasons)


def write(file: BinaryIO, tables: Sequence["pa.Table"], format: Format) -> None:  # noqa: A002
    """Write tables of one schema as one piece of a file, to be joined by `join`."""
    import pyarrow as pa
    from pyarrow import csv, parquet

    whole = pa.concat_tables(tables)
    if format == "csv":
        csv.write_csv(whole, file, csv.WriteOptions(include_header=False))
    else:
        parquet.write_table(whole.combine_chunks(), file, row_group_size=max(len(whole), 1))


def join(
    file: BinaryIO,
    pieces: Iterable[Path],
    columns: "pa.Schema",
    format: Format,  # noqa: A002
) -> None:
    """Write the pieces as one file, one in memory at a time.

    ``columns`` carries the metadata that a Parquet file gets.
    """
    from pyarrow import parquet

    if format == "csv":
        header(file, columns)
        for path in pieces:
            with path.open("rb") as piece:
                shutil.copyfileobj(piece, file)
        return
    with parquet.ParquetWriter(file, columns) as writer:
        for path in pieces:
            piece = parquet.read_table(path).replace_schema_metadata(columns.metadata)
            writer.write_table(piece, row_group_size=max(len(piece), 1))


def header(file: BinaryIO, columns: "pa.Schema") -> None:
    """Write the line of a CSV file that names its columns."""
    from pyarrow import csv

    csv.write_csv(columns.empty_table(), file)


def with_metadata(columns: "pa.Schema", served: Served, told: dict[str, Any]) -> "pa.Schema":
    """Return the columns with what a Parquet file says of itself: model, time, what is ``told``."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    texts = {
        "version": served.version,
        "sha256": served.sha256,
        "threshold": repr(served.threshold),
        "written_at": now,
        **{key: json.dumps(value, ensure_ascii=False) for key, value in told.items()},
    }
    return columns.with_metadata(texts)


def remember(output: Path, state: os.stat_result, told: dict[str, Any]) -> None:
    """Note beside a CSV file of this ``state`` what a Parquet file says of itself."""
    files.write_json(_memo(output), {**told, "state": [state.st_size, state.st_mtime_ns]})


def remembered(output: Path, format: Format) -> dict[str, Any]:  # noqa: A002
    """Return which job, with which counts, a file of scores is the result of.

    Empty where nobody knows: it is none, or was changed since.
    """
    if format == "parquet":
        told = metadata(output)
        return {key: json.loads(told[key]) for key in ("job", "counts") if key in told}
    try:
        memo, state = json.loads(_memo(output).read_text()), output.stat()
    except (OSError, ValueError):
        return {}
    same = memo.pop("state", None) == [state.st_size, state.st_mtime_ns]
    return dict(memo) if same else {}


def metadata(output: Path) -> dict[str, str]:
    """Return the metadata of a Parquet file; empty where it is none."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        told = parquet.read_schema(output).metadata or {}
    except (pa.ArrowException, OSError):
        return {}
    return {key.decode(): value.decode() for key, value in told.items()}


def _memo(output: Path) -> Path:
    return output.with_name(f".{output.name}.job.json")


def _named(numbers: np.ndarray, names: Sequence[str], absent: np.ndarray | None = None) -> Any:
    import pyarrow as pa

    chosen = pa.array(numbers.astype(np.int32), mask=absent)
    return pa.DictionaryArray.from_arrays(chosen, pa.array(names, pa.string())).cast(pa.string())


def _texts(values: Sequence[str | None]) -> Any:
    import pyarrow as pa

    try:
        return pa.array(values, pa.string())
    except UnicodeEncodeError:  # names of files may hold bytes that are no UTF-8
        clean = [value and value.encode("utf-8", "backslashreplace").decode() for value in values]
        return pa.array(clean, pa.string())
