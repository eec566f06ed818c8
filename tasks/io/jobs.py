"""What a scoring job is, so that two runs can be told to be the same: input, model, format."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

from tasks.io.readers import paths as expansion
from tasks.io.serving import Served

_LAYOUT = 1  # of pieces and columns: what was begun by another one is not carried on


def describe(
    paths: Sequence[str | Path],
    base: Path | None,
    served: Served,
    format: str,  # noqa: A002  # it is called so in every library
    rows: int,
) -> dict[str, Any]:
    """Return a job as JSON has it.

    The input is known by names, sizes and times of its files. Standard input cannot be known
    again: no two jobs of it are equal.

    Raises
    ------
    StageError
        If a path does not exist.
    """
    return {
        "input": _input(paths, base),
        "model": {"version": served.version, "sha256": served.sha256},
        "format": format,
        "rows": rows,
        "layout": _LAYOUT,
    }


def is_read_once(paths: Sequence[str | Path]) -> bool:
    """Tell whether standard input is among the paths."""
    return expansion.STDIN in map(str, paths)


def differences(one: dict[str, Any], other: dict[str, Any]) -> str:
    """Say how ``one`` differs from ``other``."""
    words = {
        "input": "other input",
        "model": f"another model ({one.get('model', {}).get('version')})",
        "format": "another format",
    }
    told = [word for key, word in words.items() if one.get(key) != other.get(key)]
    return " and ".join(told) or "another size of pieces"


def _input(paths: Sequence[str | Path], base: Path | None) -> dict[str, Any]:
    names = [Path(path).as_posix() for path in paths]
    if is_read_once(paths):
        return {"paths": names, "files": None, "bytes": None, "sha256": None, "once": uuid4().hex}
    files = size = 0
    digest = hashlib.sha256()
    for file in expansion.expand(paths, base):
        state = file.path.stat()
        files, size = files + 1, size + state.st_size
        digest.update(
            f"{file.path}\0{state.st_size}\0{state.st_mtime_ns}\0".encode(errors="surrogateescape")
        )
    return {"paths": names, "files": files, "bytes": size, "sha256": digest.hexdigest()}
