"""What monitoring keeps: a folder for each batch, and a line of history that outlives it."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tasks.io import files
from tasks.io.stage import StageError

FOLDER = Path("reports/monitoring")
HISTORY = FOLDER / "history.jsonl"
REPORT = "report.json"


def history(root: Path) -> list[dict[str, Any]]:
    """Return the newest line of each batch, in the order of their first judgement."""
    lines: dict[str, dict[str, Any]] = {}
    for line in _lines(root / HISTORY):
        lines[line["batch"]] = line
    return list(lines.values())


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    if not path.exists():
        return
    for text in path.read_text().splitlines():
        try:
            line = json.loads(text)
        except ValueError:  # a machine that lost its power left half a line
            continue
        if isinstance(line, dict) and "batch" in line:
            yield line


def remember(root: Path, line: dict[str, Any]) -> None:
    """Append a line to the history; a torn one before it is ended first."""
    path = root / HISTORY
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        torn = file.tell() > 0 and (file.seek(-1, os.SEEK_END), file.read(1))[1] != b"\n"
        text = json.dumps(line, ensure_ascii=False, allow_nan=False)
        file.write(f"{chr(10) if torn else ''}{text}\n".encode())
        file.flush()
        os.fsync(file.fileno())


def workplace(root: Path, name: str) -> Path:
    """Return the hidden folder in which a batch's report is made, and carried on after a kill."""
    folder = root / FOLDER / f".{name}.part"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def publish(root: Path, name: str) -> Path:
    """Let the report that was made in the workplace appear, in place of an older one."""
    part, place = root / FOLDER / f".{name}.part", root / FOLDER / name
    old = root / FOLDER / f".{name}.old"
    shutil.rmtree(old, ignore_errors=True)
    if place.exists():
        place.rename(old)
    part.rename(place)
    shutil.rmtree(old, ignore_errors=True)
    return place


def retain(root: Path, keep: int) -> list[str]:
    """Remove the pages of all but the ``keep`` newest batches; return the names of the removed.

    Their lines stay in the history.
    """
    there = [line["batch"] for line in history(root) if (root / FOLDER / line["batch"]).exists()]
    gone = there[: max(0, len(there) - keep)]
    for name in gone:
        shutil.rmtree(root / FOLDER / name)
    return gone


def report(root: Path, name: str) -> dict[str, Any]:
    """Return a batch's report.json.

    Raises
    ------
    StageError
        If there is none.
    """
    path = root / FOLDER / name / REPORT
    if not path.exists():
        raise StageError(f"{path}: expected the report of a batch; run python -m flows monitor")
    found: dict[str, Any] = files.read_json(path)
    return found
