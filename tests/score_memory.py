"""How much memory `score` takes: ``PYTHONPATH=. python tests/score_memory.py``, by hand.

It writes a file of seven million images (5.5 GB, removed at the end), scores it and prints the
peak of the process's resident memory. A tiny classifier answers, so that reading, writing and
joining are what is measured, in minutes; with ``--root`` the champion of that repository does.
"""

import argparse
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import toy_ensemble
import toy_registry

_BLOCK = 10_000  # images that are written over and over
_CODE = """
import sys
from pathlib import Path
from flows.__main__ import main
status = main(sys.argv[1:])
print(next(line for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line))
sys.exit(status)
"""


class Measured(NamedTuple):
    """Peak of the resident memory, and what scoring printed."""

    mebibytes: float
    seconds: float
    words: str


def repository(folder: Path) -> Path:
    """Make a repository whose champion is a tiny classifier, and return it."""
    toy_registry.build(folder)
    toy_registry.enrol(folder, toy_ensemble.complete())
    return folder


def write(path: Path, images: int) -> None:
    """Write so many images to an npy file, or to an IDX file if the name says so."""
    rng = np.random.default_rng(0)
    block = toy_ensemble.digits(*rng.integers(0, 10, _BLOCK))
    block[:, 10:12, 10:12] = rng.integers(1, 200, (_BLOCK, 2, 2))
    with path.open("wb") as file:
        if path.suffix == ".npy":
            told = {"descr": "|u1", "fortran_order": False, "shape": (images, 28, 28)}
            np.lib.format.write_array_header_1_0(file, told)
        else:
            file.write(struct.pack(">HBB3I", 0, 8, 3, images, 28, 28))
        for start in range(0, images, _BLOCK):
            file.write(block[: images - start].tobytes())


def measure(root: Path, source: Path, output: Path) -> Measured:
    """Score ``source`` in a process of its own, in the repository ``root``."""
    command = [sys.executable, "-c", _CODE, "score", str(source), "--output", str(output)]
    start = time.monotonic()
    done = subprocess.run(
        command,
        cwd=root,
        env=toy_registry.environment(),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    *words, peak = done.stdout.splitlines()
    return Measured(int(peak.split()[1]) / 1024, time.monotonic() - start, "\n".join(words))


def main() -> None:
    """Measure, and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=7_000_000)
    parser.add_argument("--source", default="images.npy", help="or images-idx3-ubyte")
    parser.add_argument("--output", default="scores.parquet", help="or scores.csv")
    parser.add_argument("--root", type=Path, help="whose champion answers")
    parser.add_argument("--folder", help="where the files lie meanwhile")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        write(folder / options.source, options.images)
        root = options.root or repository(folder / "repository")
        found = measure(root, folder / options.source, folder / options.output)
    print(found.words)
    print(f"peak of resident memory: {found.mebibytes:,.0f} MiB, in {found.seconds:,.0f} s")


if __name__ == "__main__":
    main()
