"""The command ``score``: what a run came to, in words, and its exit status."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from flows import scoring
from flows.scoring import Summary
from flows.scoring_progress import duration
from tasks.io.stage import StageError

_STANDARD = "-"


def run(paths: Sequence[str], output: str, version: str | None, overwrite: bool) -> int:
    """Score, and say what it came to.

    Returns
    -------
    int
        0 if at least one image could be read, 1 if none could, 130 if it was interrupted.

    Raises
    ------
    StageError
        As `scoring.score` does, and where the output cannot be written.
    """
    try:
        if output == _STANDARD:
            summary = scoring.to_standard_output(paths, version=version)
        else:
            summary = scoring.score(paths, Path(output), version=version, overwrite=overwrite)
    except KeyboardInterrupt:
        again = "" if output == _STANDARD else ": the same command carries on from here"
        print(f"interrupted{again}", file=sys.stderr)
        return 130
    except BrokenPipeError:
        raise
    except OSError as error:  # a full disk, a folder of somebody else's
        raise StageError(
            f"{output} cannot be written: {error}. Mend that, and the same command carries on"
        ) from None
    for line in lines(summary):
        print(line, file=sys.stderr if output == _STANDARD else sys.stdout)
    return 0 if summary.counts.rows > summary.counts.unreadable else 1


def lines(summary: Summary) -> Iterator[str]:
    """Yield the summary of a run, line by line."""
    counts = summary.counts
    images = f"{counts.rows:,} image{'' if counts.rows == 1 else 's'}"
    if summary.there:
        yield f"nothing to do: {summary.output} has these {images} by {summary.version} already"
    else:
        new = counts.rows - summary.resumed
        speed = f"{new / max(summary.seconds, 1e-9):,.0f} images/s"
        yield f"{images} by {summary.version} in {duration(summary.seconds)}, {speed}"
    for name, number in (
        ("answered", counts.answered),
        ("to a person", counts.to_a_person),
        ("unreadable", counts.unreadable),
    ):
        share = number / max(counts.rows, 1)
        yield f"  {name:<12}{number:>{len(images)},}  {share:>6.1%}"
    for reason in counts.reasons:
        yield f"    {reason}"
    if (more := counts.unreadable - len(counts.reasons)) > 0:
        yield f"    and {more:,} more: see the column reason"
    if not counts.rows:
        yield "expected at least one image; found none"
    if summary.output != _STANDARD and not summary.there:
        yield f"written to {summary.output}"
