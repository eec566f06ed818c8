"""The file of the reference that new images are compared with; the ensemble stage writes it."""

import io
import zipfile
from pathlib import Path

import numpy as np

from tasks.core.shift_columns import Frame
from tasks.core.shift_reference import Reference
from tasks.io import files, models
from tasks.io.stage import StageError

FILE = models.ENSEMBLE / "reference.npz"
_FRAME = tuple(f"frame_{name}" for name in Frame._fields)


def save(path: Path, reference: Reference) -> None:
    """Write ``reference`` as npz: the same bytes for the same content."""
    arrays = reference._asdict()
    arrays |= dict(zip(_FRAME, arrays.pop("frame"), strict=True))
    files.write_arrays(path, **arrays)


def parse(content: bytes, where: str) -> Reference:
    """Return the reference that ``content``, the bytes of the file ``where``, holds.

    Raises
    ------
    StageError
        If it is not what `save` writes.
    """
    fields = [name for name in Reference._fields if name != "frame"]
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            found = {name: archive[name] for name in (*fields, *_FRAME)}
    except (KeyError, ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise StageError(f"{where}: expected the arrays of a reference; {error}") from None
    return Reference(frame=Frame(*(found.pop(name) for name in _FRAME)), **found)
