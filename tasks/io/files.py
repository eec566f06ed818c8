"""Files that appear whole or not at all, and the same bytes for the same content."""

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from tasks.io.stage import StageError


def write(path: Path, save: Callable[[BinaryIO], object]) -> None:
    """Let ``save`` fill a temporary file beside ``path``, then rename it to ``path``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            save(file)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write_bytes(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path``."""
    write(path, lambda file: file.write(content))


def write_json(path: Path, content: Any) -> None:
    """Write ``content`` as indented JSON; keys keep their order."""
    text = json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
    write_bytes(path, text.encode())


def write_array(path: Path, array: np.ndarray) -> None:
    """Write one array as npy."""
    write(path, lambda file: np.save(file, array, allow_pickle=False))


def write_arrays(path: Path, **arrays: np.ndarray) -> None:
    """Write named arrays as an uncompressed npz; its entries carry no time."""
    write(path, lambda file: np.savez(file, **arrays))  # type: ignore[arg-type]  # typeshed lacks **kwds


def read_json(path: Path) -> Any:
    """Return the content of a JSON file that an earlier stage wrote."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise StageError(_absent(path)) from None
    except ValueError as error:
        raise StageError(f"{path}: expected JSON; {error}. Run `dvc repro` again") from None


def read_array(path: Path, dtype: type, shape: tuple[int | None, ...]) -> np.ndarray:
    """Return the npy array at ``path``, checked against ``dtype`` and ``shape``.

    ``None`` in ``shape`` stands for any length.
    """
    try:
        array = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise StageError(_absent(path)) from None
    except (ValueError, EOFError, OSError) as error:
        raise StageError(f"{path}: expected an npy array; {error}. Run `dvc repro` again") from None
    fits = len(shape) == array.ndim and all(
        want in (None, got) for want, got in zip(shape, array.shape, strict=True)
    )
    if array.dtype != dtype or not fits:
        wanted = f"{np.dtype(dtype)} {tuple('any' if n is None else n for n in shape)}"
        raise StageError(f"{path}: expected {wanted}; got {array.dtype} {array.shape}")
    return array


def _absent(path: Path) -> str:
    return f"{path} is missing: an earlier stage writes it; run `dvc repro`"
