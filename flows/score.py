"""The Prefect flow ``score``: the command of that name, on demand."""

from datetime import UTC, datetime
from pathlib import Path

from prefect import flow, get_run_logger
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from flows import publish, scoring, scoring_words
from tasks.io.stage import StageError

OUTPUTS = Path("reports/scores")


@flow(name="score")
def score(
    paths: list[str],
    output: str | None = None,
    version: str | None = None,
    overwrite: bool = False,
) -> State:
    """Answer all images of ``paths``, which are files, folders or globs, and write a table.

    ``output`` ends in .parquet or .csv; without one each order gets a file of its own in
    `OUTPUTS`. ``version``: such as v0.0.2; the champion if None. ``overwrite``: replace an
    output of another job.
    """
    say = get_run_logger().info
    file = Path(output) if output else OUTPUTS / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}.parquet"
    try:
        summary = scoring.score(paths, file, version=version, overwrite=overwrite, say=say)
    except StageError as error:
        return Failed(message=str(error))
    lines = list(scoring_words.lines(summary))
    for line in lines:
        say(line)
    publish.scores(lines, file)
    readable = summary.counts.rows > summary.counts.unreadable
    return (Completed if readable else Failed)(message=lines[0])
