"""Batches of new images: folders in ``data/incoming``, in the order in which they arrived."""

import hashlib
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from tasks.io.stage import StageError

FOLDER = Path("data/incoming")


class Batch(NamedTuple):
    """A folder of images: when it arrived (UTC), and a digest of its files' names and times."""

    name: str
    arrived: datetime
    digest: str


def complete(root: Path, settle: float) -> list[Batch]:
    """Return the batches that nothing was added to for ``settle`` seconds, the oldest first.

    Names that begin with "." or "_" are being written, and are left for the next time.
    """
    found = [_batch(path) for path in _folders(root)]
    ready = [(batch, newest) for batch, newest in found if newest <= time.time() - settle]
    return sorted((batch for batch, _ in ready), key=lambda batch: (batch.arrived, batch.name))


def named(batches: Sequence[Batch], names: Sequence[str]) -> list[Batch]:
    """Return the batches of these names, in the order of arrival.

    Raises
    ------
    StageError
        If there is no complete batch of a name.
    """
    known = {batch.name for batch in batches}
    if missing := [name for name in names if name not in known]:
        there = ", ".join(sorted(known)) or "none"
        raise StageError(
            f"{FOLDER}: expected batches named {', '.join(missing)}, complete for a while; "
            f"there is {there}"
        )
    return [batch for batch in batches if batch.name in names]


def since(batches: Sequence[Batch], when: str) -> list[Batch]:
    """Return the batches that arrived at a time (ISO 8601; UTC if it names no zone) or later.

    ``when`` may also be a batch's name: that one and those after it.

    Raises
    ------
    StageError
        If it is neither.
    """
    for place, batch in enumerate(batches):
        if batch.name == when:
            return list(batches[place:])
    try:
        moment = datetime.fromisoformat(when)
    except ValueError:
        raise StageError(
            f"--since must be a time such as 2026-11-24T05:00 or the name of a batch in {FOLDER}; "
            f"got {when}"
        ) from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return [batch for batch in batches if batch.arrived >= moment]


def _folders(root: Path) -> Iterator[Path]:
    if (root / FOLDER).is_dir():
        paths = (root / FOLDER).iterdir()
        yield from (path for path in paths if path.is_dir() and path.name[0] not in "._")


def _batch(folder: Path) -> tuple[Batch, float]:
    """Return a batch, and when anything in it changed last (seconds since 1970)."""
    digest, newest = hashlib.sha256(), folder.stat().st_mtime
    for path in sorted(folder.rglob("*")):
        state = path.stat()
        newest = max(newest, state.st_mtime)
        if path.is_file():
            line = f"{path.relative_to(folder).as_posix()} {state.st_size} {state.st_mtime_ns}\n"
            digest.update(line.encode("utf-8", "surrogateescape"))
    arrived = datetime.fromtimestamp(folder.stat().st_mtime, UTC)
    return Batch(folder.name, arrived, digest.hexdigest()[:16]), newest
