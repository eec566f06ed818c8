"""``score``: any images in, a table of answers out; killed at any time, it carries on."""

import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from flows.scoring_progress import Progress
from tasks.io import jobs, scores, serving
from tasks.io.parts import Parts
from tasks.io.readers import stream
from tasks.io.readers.stream import Chunk
from tasks.io.scores import Counts
from tasks.io.serving import Answers, Served
from tasks.io.stage import StageError

if TYPE_CHECKING:
    import pyarrow as pa

PART = 65_536  # rows: what is lost at most when a run is killed
_CHUNK = 512  # rows that a thread takes at once
_AHEAD = 3  # chunks for each thread that are read before their turn

Say = Callable[[str], None]


class Summary(NamedTuple):
    """What a run came to.

    ``resumed`` of its rows are an earlier run's, ``seconds`` are of this one alone. If the
    output was ``there`` already, nothing was done.
    """

    output: str
    version: str
    counts: Counts
    resumed: int
    seconds: float
    there: bool = False


def say_aside(text: str) -> None:
    """Print to standard error."""
    print(text, file=sys.stderr, flush=True)


def score(
    paths: Sequence[str | Path],
    output: Path,
    *,
    root: Path = Path(),
    version: str | None = None,
    format: scores.Format | None = None,  # noqa: A002  # it is called so in every library
    rows: int = PART,
    base: Path | None = None,
    overwrite: bool = False,
    say: Say = say_aside,
) -> Summary:
    """Score all images of ``paths`` and write the table (`tasks.io.scores`) to ``output``.

    The output appears whole. Until then pieces of ``rows`` rows lie beside it, and the next
    call with the same input and model carries on from them. If the output is there already
    and of this very job, nothing is done.

    Parameters
    ----------
    paths, base
        What `tasks.io.readers.stream.read` takes.
    root, version
        What `tasks.io.serving.load` takes.
    format
        By the output's ending if None.
    say
        Where notes go.

    Raises
    ------
    StageError
        If there is no such model or input, the output is of another job and not to be
        overwritten, or another process is writing it.
    """
    start = time.monotonic()
    kind = format or scores.format_of(output)
    served = serving.load(root, version)
    job = jobs.describe(paths, base, served, kind, rows)
    with Parts(output) as parts:
        if output.exists() and not overwrite:
            counts = _same(output, job)
            parts.forget(job)
            return Summary(str(output), served.version, counts, 0, 0.0, there=True)
        _say_lacks(served, say)
        resumed = _begin(parts, job, say)
        chunks = stream.read(paths, rows=min(_CHUNK, rows), skip=resumed, base=base)
        with Progress(_total(paths, base), resumed) as progress:
            for tables in _grouped(_scored(served, chunks, progress), rows):
                noted = _sum(map(scores.counts, tables))
                parts.add(_writer(tables, kind), noted._asdict())
        counts = _sum(_counts(note) for note in parts.notes)
        _finish(parts, served, job, counts)
    return Summary(str(output), served.version, counts, resumed, time.monotonic() - start)


def to_standard_output(
    paths: Sequence[str | Path],
    *,
    root: Path = Path(),
    version: str | None = None,
    say: Say = say_aside,
) -> Summary:
    """Score all images of ``paths`` and print the table as CSV, row by row as they come."""
    start = time.monotonic()
    served = serving.load(root, version)
    total = _total(paths)
    _say_lacks(served, say)
    file, counts = sys.stdout.buffer, Counts()
    scores.header(file, scores.schema(served))
    with Progress(total) as progress:
        for table in _scored(served, stream.read(paths, rows=_CHUNK), progress):
            scores.write(file, [table], "csv")
            file.flush()
            counts = counts.plus(scores.counts(table))
    return Summary("-", served.version, counts, 0, time.monotonic() - start)


def _total(paths: Sequence[str | Path], base: Path | None = None) -> int | None:
    """Return how many rows there are, where that is cheaply known: standard input is read once."""
    return None if jobs.is_read_once(paths) else stream.count(paths, base)


def _scored(served: Served, chunks: Iterator[Chunk], progress: Progress) -> Iterator["pa.Table"]:
    """Yield the scores of each chunk in order: one core reads while the others answer."""
    from joblib import cpu_count
    from threadpoolctl import threadpool_limits

    cores = cpu_count()
    waiting: deque[tuple[Chunk, Future[Answers]]] = deque()
    pool, one_core_a_thread = ThreadPoolExecutor(cores), threadpool_limits(1)
    try:
        for chunk in chunks:
            waiting.append((chunk, pool.submit(served.answer, chunk.images)))
            if len(waiting) > _AHEAD * cores:
                yield _table(served, *waiting.popleft(), progress)
        while waiting:
            yield _table(served, *waiting.popleft(), progress)
    finally:
        pool.shutdown(cancel_futures=True)
        one_core_a_thread.restore_original_limits()


def _table(
    served: Served, chunk: Chunk, answers: Future[Answers], progress: Progress
) -> "pa.Table":
    table = scores.table(served, chunk.ids, answers.result(), chunk.faults)
    progress.advance(len(table))
    return table


def _grouped(tables: Iterable["pa.Table"], rows: int) -> Iterator[list["pa.Table"]]:
    """Yield the tables in lists of ``rows`` rows, but for the last."""
    group: list[pa.Table] = []
    for table in tables:
        group.append(table)
        if sum(map(len, group)) >= rows:
            yield group
            group = []
    if group:
        yield group


def _writer(tables: list["pa.Table"], kind: scores.Format) -> Callable[[BinaryIO], None]:
    return lambda file: scores.write(file, tables, kind)


def _begin(parts: Parts, job: dict[str, Any], say: Say) -> int:
    """Say what becomes of an earlier run's pieces; return how many rows are done."""
    removed = parts.begin(job)
    if removed:
        say(f"{parts.output}: begins anew: an earlier run had {jobs.differences(removed, job)}")
    done = _sum(_counts(note) for note in parts.notes).rows
    if done:
        say(f"{parts.output}: carries on after {done:,} rows of an earlier run")
    return done


def _same(output: Path, job: dict[str, Any]) -> Counts:
    """Return what an output that is there came to, if it is this job's."""
    found = scores.remembered(output, job["format"])
    if not found or found["job"] != job:
        of = f", from {jobs.differences(found['job'], job)}" if found else ""
        raise StageError(
            f"{output}: expected a free place, or the result of this very job; a file is there "
            f"already{of}. Name another output, or replace it: --overwrite"
        )
    return _counts(found["counts"])


def _finish(parts: Parts, served: Served, job: dict[str, Any], counts: Counts) -> None:
    told, kind = {"job": job, "counts": counts._asdict()}, job["format"]
    columns = scores.with_metadata(scores.schema(served), served, told)

    def save(file: BinaryIO) -> None:
        scores.join(file, parts.pieces(), columns, kind)
        if kind == "csv":
            file.flush()
            scores.remember(parts.output, os.fstat(file.fileno()), told)

    parts.finish(save)


def _say_lacks(served: Served, say: Say) -> None:
    if "abstention_threshold" in served.lacks:
        say(f"{served.version} is of before there was abstention: it answers every image")
    if "classes" in served.lacks:
        last = served.classes[-1]
        say(f"{served.version} does not name its classes: they are called 0 to {last}")


def _sum(counts: Iterable[Counts]) -> Counts:
    total = Counts()
    for each in counts:
        total = total.plus(each)
    return total


def _counts(note: dict[str, Any]) -> Counts:
    fields = {key: note[key] for key in Counts._fields}
    return Counts(**{**fields, "reasons": tuple(fields["reasons"])})
