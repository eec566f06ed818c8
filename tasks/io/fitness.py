"""Is an artifact fit to serve? Asked of a process of its own, as a server would load it.

``python -m tasks.io.fitness MODEL BATCH CALLS`` is that process; it needs ONNX Runtime alone.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from tasks.core.decision import Fitness
from tasks.io import archives, known_batch
from tasks.io.known_batch import KnownBatch
from tasks.io.stage import StageError

_MODULE = "tasks.io.fitness"
_SOURCE = Path(__file__).resolve().parents[2]
_PATIENCE = 120.0  # seconds for the process as a whole; it takes about one
_CALLS = 50


class UnfitError(StageError):
    """The artifact cannot be loaded in a fresh process, or gives no answer there."""


def check(model: bytes, batch: KnownBatch, calls: int = _CALLS) -> Fitness:
    """Load an ONNX ``model`` in a fresh process and let it answer the known ``batch``.

    Raises
    ------
    UnfitError
        If that process fails or takes too long; with its last words.
    """
    with tempfile.TemporaryDirectory() as folder:
        artifact, recorded = Path(folder) / "model.onnx", Path(folder) / "batch.json"
        artifact.write_bytes(model)
        known_batch.save(recorded, batch)
        found = _in_fresh_process(artifact, recorded, calls)
    return Fitness(**found, size=len(model))


def _in_fresh_process(artifact: Path, recorded: Path, calls: int) -> dict[str, Any]:
    command = [sys.executable, "-m", _MODULE, str(artifact), str(recorded), str(calls)]
    path = os.pathsep.join([str(_SOURCE), os.environ.get("PYTHONPATH", "")])
    try:
        done = subprocess.run(
            command,
            env=os.environ | {"PYTHONPATH": path},
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise UnfitError(f"gave no answer in a fresh process within {_PATIENCE:.0f} s") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
        raise UnfitError(f"a fresh process cannot load and run it: {last}")
    return dict(json.loads(done.stdout))


def measure(artifact: Path, batch: KnownBatch, calls: int) -> dict[str, float]:
    """Load the artifact in this process; return gap, load_seconds and milliseconds.

    Raises
    ------
    ValueError
        If it does not answer a row of finite numbers, one a class, for each image.
    """
    start = time.perf_counter()
    session = archives.load_onnx(artifact)
    loaded = time.perf_counter() - start
    answers = archives.probabilities(session, batch.images)
    if answers.shape != batch.probabilities.shape or not np.isfinite(answers).all():
        wanted = batch.probabilities.shape
        raise ValueError(f"expected finite probabilities {wanted}; got {answers.shape}")
    gap = float(np.abs(answers - batch.probabilities).max())
    times = [_seconds(session, batch.images[i % len(batch.images)][None]) for i in range(calls)]
    middle = 1000 * statistics.median(times)
    return {"gap": gap, "load_seconds": loaded, "milliseconds": middle}


def _seconds(session: Any, image: np.ndarray) -> float:
    start = time.perf_counter()
    archives.probabilities(session, image)
    return time.perf_counter() - start


def _main(artifact: str, recorded: str, calls: str) -> None:
    found = measure(Path(artifact), known_batch.load(Path(recorded)), int(calls))
    print(json.dumps(found))


if __name__ == "__main__":
    _main(*sys.argv[1:])
