"""The same Keras model, the same bytes: a ``.keras`` archive without times and object ids."""

import io
import json
import zipfile
from typing import Any

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip entry can carry
_SAVED = "1980-01-01@00:00:00"


def normalise(archive: bytes) -> bytes:
    """Return a ``.keras`` archive with everything removed that differs from save to save.

    Those are the date of saving, the zip entries' times and the memory addresses that Keras
    writes as ``shared_object_id``. The model loads, predicts and trains on as before.

    Parameters
    ----------
    archive
        The bytes of a file that ``keras.Model.save`` wrote (layout of Keras 3.15).

    Raises
    ------
    ValueError
        If the archive lacks one of the three entries of a ``.keras`` file.
    """
    with zipfile.ZipFile(io.BytesIO(archive)) as source:
        entries = {name: source.read(name) for name in sorted(source.namelist())}
    missing = {"config.json", "metadata.json", "model.weights.h5"} - set(entries)
    if missing:
        raise ValueError(f"expected a .keras archive; it lacks {', '.join(sorted(missing))}")
    metadata = json.loads(entries["metadata.json"]) | {"date_saved": _SAVED}
    entries["metadata.json"] = json.dumps(metadata).encode()
    config = _renumbered(json.loads(entries["config.json"]), {})
    entries["config.json"] = json.dumps(config).encode()
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as file:
        for name, content in entries.items():
            file.writestr(zipfile.ZipInfo(name, _EPOCH), content)
    return target.getvalue()


def _renumbered(node: Any, seen: dict[int, int]) -> Any:
    """Return a copy in which shared objects are numbered 1, 2, … as they are met."""
    if isinstance(node, list):
        return [_renumbered(item, seen) for item in node]
    if not isinstance(node, dict):
        return node
    return {
        key: seen.setdefault(value, len(seen) + 1)
        if key == "shared_object_id"
        else _renumbered(value, seen)
        for key, value in node.items()
    }
