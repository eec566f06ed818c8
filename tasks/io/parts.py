"""A file that takes long to write, piece by piece: killed at any time, it carries on.

Pieces lie in a hidden folder beside the output, with a manifest of the job that they belong
to. They are joined at the end, the output appears whole, and the folder goes.
"""

import fcntl
import json
import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from tasks.io import files
from tasks.io.stage import StageError

_LOCK = "lock"


class InUseError(StageError):
    """Another process writes the same output."""


class Parts:
    """The pieces of one output, this process's own until the end of the ``with`` block.

    ``notes`` is what was noted of each finished piece, in order.
    """

    def __init__(self, output: Path) -> None:
        self.output = output
        self.folder = output.with_name(f".{output.name}.parts")
        self.notes: list[dict[str, Any]] = []
        self._manifest = self.folder / "manifest.json"
        self._lock = -1
        self._begun = False

    def __enter__(self) -> Self:
        while self._lock < 0:
            self._lock = self._locked()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # Nothing that is worth being kept, unless nobody asked whose it is
        if not self.notes and (self._begun or not self._manifest.exists()):
            shutil.rmtree(self.folder, ignore_errors=True)
        os.close(self._lock)
        self._lock = -1

    def begin(self, job: dict[str, Any]) -> dict[str, Any] | None:
        """Keep the pieces of an earlier run of this very ``job``, and remove those of another.

        Returns
        -------
        dict or None
            The job of the pieces that were removed; None where none were.
        """
        self._begun = True
        earlier, found = _read(self._manifest), self._finished()
        if earlier == job:
            self.notes = found
            return None
        for path in self.folder.iterdir():
            if path.name != _LOCK:
                path.unlink()
        files.write_json(self._manifest, job)
        return earlier if found else None

    def add(self, save: Callable[[BinaryIO], object], note: dict[str, Any]) -> None:
        """Write the next piece; it counts once its ``note`` is on disk, too."""
        number = len(self.notes)
        files.write(self._piece(number), save)
        noted = {**note, "bytes": self._piece(number).stat().st_size}
        files.write_json(self._note(number), noted)
        self.notes.append(noted)

    def pieces(self) -> list[Path]:
        """Return the finished pieces in order."""
        return [self._piece(number) for number in range(len(self.notes))]

    def finish(self, join: Callable[[BinaryIO], object]) -> None:
        """Let ``join`` write the output, which appears whole, and remove the pieces."""
        files.write(self.output, join)
        self.notes = []

    def forget(self, job: dict[str, Any]) -> None:
        """Remove the pieces of ``job``, whose output is there, if any are left."""
        self._begun = _read(self._manifest) == job

    def _finished(self) -> list[dict[str, Any]]:
        notes: list[dict[str, Any]] = []
        while (note := _read(self._note(len(notes)))) is not None:
            piece = self._piece(len(notes))
            if not piece.is_file() or piece.stat().st_size != note.get("bytes"):
                break
            notes.append(note)
        return notes

    def _piece(self, number: int) -> Path:
        return self.folder / f"{number:05d}"

    def _note(self, number: int) -> Path:
        return self.folder / f"{number:05d}.json"

    def _locked(self) -> int:
        """Return the lock's descriptor; -1 if its file was removed meanwhile: try again."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / _LOCK
        try:
            lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except FileNotFoundError:
            return -1
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            who = os.read(lock, 200).decode(errors="replace").strip()
            os.close(lock)
            raise InUseError(
                f"{self.output}: expected to be alone in writing it; {who or 'another process'} "
                "does so. Wait for its end, or name another output"
            ) from None
        if not _is_file_of(path, lock):
            os.close(lock)
            return -1
        os.truncate(lock, 0)
        since = datetime.now(UTC).isoformat(timespec="seconds")
        os.write(lock, f"process {os.getpid()} (since {since})\n".encode())
        return lock


def _is_file_of(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _read(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None
