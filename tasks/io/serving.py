"""A registered model, verified and ready to answer: what scoring and monitoring ask.

Fast to start: where the registry is as the pipeline leaves it, neither DVC nor GTO is loaded.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tasks.core import abstention
from tasks.io import archives, lookup, params, registry, store
from tasks.io.lookup import Known
from tasks.io.registry import Place
from tasks.io.stage import StageError

BATCH = 128  # images a call: enough to keep a core busy, few enough for its cache
_CACHE = Path(".dvc/cache/files/md5")  # DVC's, where no configuration moves it

_BLANK = np.zeros((1, 28, 28), np.uint8)


class Answers(NamedTuple):
    """Probabilities ``(n, classes)`` float32, and which images are answered, bool ``(n,)``."""

    probabilities: np.ndarray
    answered: np.ndarray


@dataclass(frozen=True)
class Served:
    """A version of the model. It may be asked from several threads at once.

    ``lacks`` names what an artifact of its age does not tell: ``abstention_threshold`` (then
    everything is answered), ``classes`` (then they are "0", "1" …), ``members``.
    """

    version: str
    md5: str
    sha256: str
    classes: tuple[str, ...]
    threshold: float
    lacks: tuple[str, ...]
    _session: Any = field(repr=False, compare=False)

    def answer(self, images: np.ndarray, jobs: int = 1) -> Answers:
        """Return what it says of uint8 images ``(n, 28, 28)``, asked by ``jobs`` threads."""
        probabilities = self._ask(images, self._session.get_outputs()[0].name, jobs)
        return Answers(probabilities, abstention.answered(probabilities, self.threshold))

    def members(self, images: np.ndarray, jobs: int = 1) -> np.ndarray:
        """Return what each member says of the images, ``(n, members, classes)`` float32.

        Raises
        ------
        StageError
            If the artifact is of before members could be told apart.
        """
        if "members" in self.lacks:
            raise StageError(
                f"{self.version}: expected an artifact with the output members; this one is older "
                "and gives their mean alone. A version that is registered now has it: `make run`"
            )
        return self._ask(images, "members", jobs)

    def _ask(self, images: np.ndarray, output: str, jobs: int) -> np.ndarray:
        name = self._session.get_inputs()[0].name

        def ask(batch: np.ndarray) -> np.ndarray:
            return np.asarray(self._session.run([output], {name: batch})[0])

        if not len(images):
            return ask(_BLANK)[:0]
        batches = [images[start : start + BATCH] for start in range(0, len(images), BATCH)]
        if jobs == 1 or len(batches) < 2:
            said = [ask(batch) for batch in batches]
        else:
            with ThreadPoolExecutor(jobs) as pool:
                said = list(pool.map(ask, batches))
        return np.concatenate(said)


def load(root: Path = Path(), version: str | None = None) -> Served:
    """Return ``version``, else the one that holds ``register.stage`` of ``params.yaml``.

    Its artifact has the MD5 of its dvc.lock and the SHA-256 of its tag. It comes from the
    work tree or DVC's cache, else from the remote.

    Raises
    ------
    StageError
        If there is no such version, no place has its file, or the file is damaged everywhere.
    """
    place = params.section(Place, "register", root / params.FILE)
    known = lookup.find(root, place, version)
    content = next(_places(root, known), None) if known else None
    if known is None or content is None:
        return _slowly(root, place, version)
    return opened(known.version, content)


def opened(version: str, content: bytes) -> Served:
    """Return an artifact ready to answer under the name ``version``.

    Raises
    ------
    StageError
        If it is no ONNX model, or names other classes than it has.
    """
    try:
        session = archives.load_onnx(content)
    except Exception as error:  # onnxruntime has a class for every status code
        first = str(error).strip().partition("\n")[0]
        raise StageError(f"{version}: its artifact is no ONNX model: {first}") from None
    metadata = session.get_modelmeta().custom_metadata_map
    told = {*metadata, *(output.name for output in session.get_outputs())}
    wanted = ("abstention_threshold", "classes", "members")
    return Served(
        version,
        store.digest(content),
        hashlib.sha256(content).hexdigest(),
        _classes(version, metadata, session),
        float(metadata.get("abstention_threshold", 0)),
        tuple(name for name in wanted if name not in told),
        session,
    )


def _places(root: Path, known: Known) -> Iterator[bytes]:
    """Yield the artifact from each place near by that has it whole."""
    for path in (root / known.path, root / _CACHE / known.md5[:2] / known.md5[2:]):
        try:
            content = path.read_bytes()
        except OSError:
            continue
        sha256 = hashlib.sha256(content).hexdigest()
        if (store.digest(content), sha256) == (known.md5, known.sha256):
            yield content


def _slowly(root: Path, place: Place, name: str | None) -> Served:
    """Return the version as the registry tells it, from wherever DVC finds its file."""
    if name is None:
        version = registry.champion(root, place.artifact, place.stage)
        if version is None:
            raise StageError(_nobody(root, place))
    else:
        version = registry.get(root, place.artifact, name)
    return opened(version.version, registry.fetch(root, version))


def _nobody(root: Path, place: Place) -> str:
    text = f"{place.artifact} has no {place.stage} to ask (register.stage of {params.FILE})"
    versions = [version.version for version in registry.versions(root, place.artifact)]
    if not versions:
        return f"{text}, and no version: `make run` trains one and registers it"
    known = ", ".join(versions)
    return (
        f"{text}. Name one of its versions with --version: {known}; or make one {place.stage}: "
        f"python -m flows promote {versions[0]}"
    )


def _classes(version: str, metadata: dict[str, str], session: Any) -> tuple[str, ...]:
    """Return the classes' names; of an artifact that does not tell them, their numbers."""
    width = archives.probabilities(session, _BLANK).shape[1]
    if "classes" not in metadata:
        return tuple(map(str, range(width)))
    names: Sequence[str] = json.loads(metadata["classes"])
    if len(names) != width:
        raise StageError(
            f"{version}: expected one name for each of {width} probabilities in its artifact's "
            f"metadata; got {len(names)}: {metadata['classes']}"
        )
    return tuple(names)
