"""The file of the reference that new images are compared with; the ensemble stage writes it."""

import io
import zipfile
from pathlib import Path

import numpy as np

from tasks.core.components import Basis
from tasks.core.shift_reference import Reference
from tasks.io import files, models
from tasks.io.stage import StageError

FILE = models.ENSEMBLE / "reference.npz"
_BASIS = ("basis_mean", "basis_directions")


def save(path: Path, reference: Reference) -> None:
    """Write ``reference`` as npz: the same bytes for the same content."""
    arrays = reference._asdict()
    arrays |= dict(zip(_BASIS, arrays.pop("basis"), strict=True))
    files.write_arrays(path, **arrays)


def parse(content: bytes, where: str) -> Reference:
    """Return the reference that ``content``, the bytes of the file ``where``, holds.

    Raises
    ------
    StageError
        If it is not what `save` writes.
    """
    fields = [name for name in Reference._fields if name != "basis"]
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            found = {name: archive[name] for name in (*fields, *_BASIS)}
    except (KeyError, ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise StageError(f"{where}: expected the arrays of a reference; {error}") from None
    return Reference(basis=Basis(*(found.pop(name) for name in _BASIS)), **found)
