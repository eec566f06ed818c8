"""How far a scoring run has come, on standard error: a bar in a terminal, lines elsewhere."""

import sys
import time
from types import TracebackType
from typing import Any, Self

_EVERY = 10.0  # seconds between two lines


class Progress:
    """Counts rows from ``done`` on; ``total`` is None where nobody knows it."""

    def __init__(self, total: int | None, done: int = 0) -> None:
        self._total = total
        self._first = self._done = done
        self._start = self._told = time.monotonic()
        self._bar: Any = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            self._bar = _bar()
            self._task = self._bar.add_task("", total=self._total, completed=self._done, told="")
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar:
            self._bar.stop()

    def advance(self, rows: int) -> None:
        """Take note of more rows."""
        self._done += rows
        if self._bar:
            self._bar.update(self._task, completed=self._done, told=self.words())
        elif time.monotonic() - self._told > _EVERY:
            self._told = time.monotonic()
            print(self.words(), file=sys.stderr, flush=True)

    def words(self) -> str:
        """Return rows, share, speed and the time that is left, as far as they are known."""
        passed = time.monotonic() - self._start
        speed = (self._done - self._first) / max(passed, 1e-9)
        if self._total is None:
            return f"{self._done:,} rows  {speed:,.0f} images/s"
        share = self._done / max(self._total, 1)
        left = duration((self._total - self._done) / speed) if speed else "?"
        return (
            f"{self._done:,} of {self._total:,} rows  {share:.1%}  {speed:,.0f} images/s  "
            f"{left} left"
        )


def duration(seconds: float) -> str:
    """Return a time in two units at most: 8 s, 3 min 20 s, 2 h 5 min."""
    whole = max(round(seconds), 0)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def _bar() -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bar

    columns = (BarColumn(), TextColumn("{task.fields[told]}"))
    return Bar(*columns, console=Console(stderr=True), transient=True)
