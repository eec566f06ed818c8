"""Data sets by name: what scikit-learn and Keras carry, or fetch, themselves."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tasks.io.stage import StageError


class Arrays(NamedTuple):
    """Images ``(n, h, w)`` or ``(n, pixels)`` and labels ``(n,)``, as they come."""

    images: np.ndarray
    labels: np.ndarray


def is_name(source: str) -> bool:
    """Tell whether a source is a name, such as ``sklearn:digits``, rather than a path."""
    return source.partition(":")[0] in _WAYS


def fetch(source: str) -> tuple[Arrays, Arrays | None]:
    """Return the training part of a data set and, where it knows one, the test part.

    Raises
    ------
    StageError
        If there is none of that name, or it cannot be fetched.
    """
    kind, _, name = source.partition(":")
    try:
        return _WAYS[kind](name)
    except StageError:
        raise
    except Exception as error:  # a library that fetches may raise anything, Keras bare Exceptions
        reason = " ".join(str(error).split()) or type(error).__name__
        raise StageError(
            f"{source} cannot be fetched: {reason}. Connect to the internet, or set data.source to "
            "a file that holds it"
        ) from None


def _sklearn(name: str) -> tuple[Arrays, None]:
    from sklearn.datasets import load_digits

    if name != "digits":
        raise StageError(f"expected sklearn:digits; got sklearn:{name}")
    found = load_digits()
    return Arrays(found.images.astype(np.uint8), found.target), None


def _openml(name: str) -> tuple[Arrays, None]:
    from sklearn.datasets import fetch_openml

    found = fetch_openml(name, version=1, as_frame=False, parser="auto")
    return Arrays(np.asarray(found.data), np.asarray(found.target)), None


def _keras(name: str) -> tuple[Arrays, Arrays]:
    from keras import datasets

    known = ("mnist", "fashion_mnist")
    if name not in known:
        raise StageError(f"expected keras:{' or keras:'.join(known)}; got keras:{name}")
    train, test = getattr(datasets, name).load_data()
    return Arrays(*train), Arrays(*test)


_WAYS: dict[str, Callable[[str], tuple[Arrays, Any]]] = {
    "sklearn": _sklearn,
    "openml": _openml,
    "keras": _keras,
}
