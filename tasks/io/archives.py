"""Models on disk: Keras archives and ONNX graphs, the same bytes for the same weights."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tasks.core import archive, canonical
from tasks.io import files
from tasks.io.quiet import quiet
from tasks.io.stage import StageError

if TYPE_CHECKING:
    import keras

_EXPORTS = 3
_BATCH = 500  # images a call: enough to keep the core busy, little enough to stay in its cache


def save_keras(path: Path, model: "keras.Model") -> None:
    """Write ``model`` as a ``.keras`` archive without times and object ids."""
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "model.keras"
        model.save(raw)
        files.write_bytes(path, archive.normalise(raw.read_bytes()))


def save_keras_as_onnx(path: Path, model: "keras.Model") -> None:
    """Write ``model`` as an ONNX graph.

    tf2onnx leaves a node or two more than need be in about one export of fifty, by the order
    of objects in memory; the shortest of a few exports is the same every time.
    """
    model(np.zeros((1, *model.input_shape[1:]), np.uint8))  # Keras exports what was called
    with quiet():
        graphs = [canonical.canonical(_export(model)) for _ in range(_EXPORTS)]
    files.write_bytes(path, min(graphs, key=lambda graph: (len(graph), graph)))


def _export(model: "keras.Model") -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "model.onnx"
        model.export(raw, format="onnx", verbose=False)
        return raw.read_bytes()


def load_keras(path: Path) -> "keras.Model":
    """Return the model at ``path``; code that an archive may carry is never run.

    Raises
    ------
    StageError
        If the file is missing or is no Keras model.
    """
    import keras

    try:
        return keras.models.load_model(path, compile=False, safe_mode=True)
    except (OSError, ValueError, KeyError) as error:
        raise StageError(f"{path}: expected a Keras model; {error}. Run `dvc repro`") from None


def load_onnx(content: bytes | Path) -> Any:
    """Return an ONNX Runtime session on one core."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors: its warnings are about graph optimisations
    source = content if isinstance(content, bytes) else str(content)
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def probabilities(session: Any, images: np.ndarray) -> np.ndarray:
    """Return ``(n, classes)`` float32 for uint8 images ``(n, 28, 28)``."""
    return _said(session, images, session.get_outputs()[0].name)


def members(session: Any, images: np.ndarray) -> np.ndarray:
    """Return what each member of an ensemble says, ``(n, members, classes)`` float32."""
    return _said(session, images, "members")


def _said(session: Any, images: np.ndarray, output: str) -> np.ndarray:
    name = session.get_inputs()[0].name
    batches = range(0, len(images), _BATCH)
    return np.concatenate(
        [session.run([output], {name: images[start : start + _BATCH]})[0] for start in batches]
    )
