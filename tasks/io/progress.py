"""A training's progress: one line an epoch, and the same figures as a file."""

import csv
import io
import math
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from tasks.core.training import Epoch
from tasks.io import files


class Epochs:
    """Collects epochs: prints each, and writes ``history.csv`` at the end if there is a folder."""

    def __init__(self, folder: Path | None, total: int) -> None:
        self._folder = folder
        self._total = total
        self._epochs: list[Epoch] = []
        self._start = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def report(self, epoch: Epoch) -> None:
        """Take note of an epoch and print it, with the time that is left."""
        self._epochs.append(epoch)
        passed = time.monotonic() - self._start
        left = passed / epoch.epoch * (self._total - epoch.epoch)
        held_out = epoch.validation_accuracy  # not a number where none are held out
        print(
            f"epoch {epoch.epoch}/{self._total}  loss {epoch.loss:.4f}  "
            f"accuracy {epoch.accuracy:.4f}  "
            + (f"held out {held_out:.4f}  " if not math.isnan(held_out) else "")
            + f"{left:.0f} s left"
        )

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None or self._folder is None:
            return
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(Epoch._fields)
        table.writerows((e.epoch, *(f"{value:.6f}" for value in e[1:])) for e in self._epochs)
        files.write_bytes(self._folder / "history.csv", text.getvalue().encode())
