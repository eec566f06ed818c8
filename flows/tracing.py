"""The command ``trace``: from a decision or an answer back to what made it, verified."""

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from flows.tables import wrapped
from tasks.io import archives, commits, git, lineage, params, registry, store
from tasks.io.lineage import Link
from tasks.io.pipeline import Fault
from tasks.io.registry import Place, RegistryError, Version

ROOT = Path()
ANSWERS = "reports/evaluate/answers.csv"
IMAGES = "data/preprocess/test_images.npy"
PREDICTION = re.compile(r"(?P<model>[0-9a-f]{12})-(?P<row>\d+)")

GOOD, BAD, GONE = "✓", "✗", "·"


def trace(what: str) -> int:
    """Print the chain behind a version or a prediction; return 1 if a hash on it is wrong."""
    place = params.section(Place, "register")
    asked = PREDICTION.fullmatch(what)
    if asked:
        version = _author(place, asked["model"])
        links = [_answer(version, what, int(asked["row"])), *lineage.links(ROOT, version)]
    else:
        version = registry.get(ROOT, place.artifact, what)
        links = list(lineage.links(ROOT, version))
    print(*_told(version, links), sep="\n")
    return 1 if any(link.faults for link in links) else 0


def _author(place: Place, start: str) -> Version:
    """Return the version whose artifact's SHA-256 starts so."""
    for version in registry.versions(ROOT, place.artifact):
        if (registry.sha256(ROOT, version) or "").startswith(start):
            return version
    raise RegistryError(
        f"no version of {place.artifact} has an artifact whose SHA-256 starts with {start}; "
        "see `python -m flows show`"
    )


def _answer(version: Version, name: str, row: int) -> Link:
    """Let the version answer its test image anew, beside the answer that was recorded."""
    read, (answers, images, model) = _sources(version)
    if read.absent or read.faults:
        return read._replace(says=f"test image {row}")
    recorded = _recorded(version, answers, name)
    image = np.load(io.BytesIO(images), allow_pickle=False)[row : row + 1]
    answer = archives.probabilities(archives.load_onnx(model), image)[0]
    says = f"test image {row}, labelled {recorded['actual']}: recorded {_words(recorded)}"
    said = commits.classes(ROOT, version.commit)[answer.argmax()]
    again = f"{said} at {100 * answer.max():.2f} %"
    if recorded["predicted"] == said and _is_near(recorded, answer):
        return Link("answer", f"{says}, again {again}", 1)
    return Link("answer", says, 0, faults=(Fault("the same artifact, asked again", again),))


def _sources(version: Version) -> tuple[Link, list[bytes]]:
    """Return what an answer is made anew from: the recorded answers, the images, the model.

    The link tells those that are not here or damaged; they are empty.
    """
    contents, absent, faults = [], [], []
    for path in (ANSWERS, IMAGES, str(version.path)):
        content = b""
        try:
            content = registry.fetch(ROOT, version) if path == version.path else _out(version, path)
        except (registry.AbsentError, store.MissingError):
            absent.append(path)
        except (RegistryError, store.StoreError) as error:
            faults.append(Fault(path, str(error)))
        contents.append(content)
    return Link("answer", "", 0, tuple(absent), tuple(faults)), contents


def _is_near(recorded: dict[str, str], answer: np.ndarray) -> bool:
    from tasks.gate import Gate

    gap = abs(float(recorded["confidence"]) - float(answer.max()))
    return gap <= params.section(Gate, "gate").max_answer_gap


def _words(recorded: dict[str, str]) -> str:
    sure = 100 * float(recorded["confidence"])
    return f"{recorded['predicted']} at {sure:.2f} % ({recorded['status']})"


def _recorded(version: Version, answers: bytes, name: str) -> dict[str, str]:
    for answer in csv.DictReader(io.StringIO(answers.decode())):
        if answer["id"] == name:
            return answer
    raise RegistryError(f"{version}: {ANSWERS} has no row {name}")


def _out(version: Version, path: str) -> bytes:
    """Return an out as that version's run left it."""
    md5 = commits.outs(ROOT, version.commit).get(path)
    if md5 is None:
        raise RegistryError(f"{version}: its dvc.lock records no {path}")
    if git.files(ROOT, version.commit, path):
        return git.content(ROOT, version.commit, path)
    return store.fetch(ROOT, md5)


def _told(version: Version, links: list[Link]) -> Iterator[str]:
    tag = registry.tag_of(ROOT, version)
    yield f"{version.name} {version.version}, {tag.time:%Y-%m-%d %H:%M:%SZ}, by {tag.by}"
    width = max(len(link.name) for link in links)
    for link in links:
        first, *rest = wrapped(link.says, width + 4) or [""]
        yield f"{_mark(link)} {link.name.ljust(width)}  {first.strip()}"
        yield from rest
        yield from _details(link)
    yield ""
    yield from _environment(version)
    yield ""
    yield _sum(links)
    if any(link.absent for link in links):
        yield from wrapped(_way_to_get(version), 0)


def _mark(link: Link) -> str:
    return BAD if link.faults else GOOD if link.verified else GONE


def _details(link: Link) -> Iterator[str]:
    for fault in link.faults:
        yield from wrapped(f"{BAD} {fault.what}: {fault.why}", 4)
    if link.absent:
        yield from wrapped(f"{GONE} not here: {', '.join(link.absent)}", 4)


def _environment(version: Version) -> Iterator[str]:
    """Say where the environment of now is another than the one that made the version."""
    from tasks.register import provenance

    then: dict[str, Any] = registry.record(ROOT, version).get("provenance", {})
    now = provenance(then.get("seed", 0))
    other = [key for key in now if key in then and then[key] != now[key]]
    if not then:
        yield "environment: none is recorded"
    elif not other:
        yield "environment: the same now as then"
    for key in other:
        yield from wrapped(f"environment: {key} was {then[key]}; it is {now[key]} now", 0)


def _sum(links: list[Link]) -> str:
    verified = sum(link.verified for link in links)
    absent, wrong = sum(len(it.absent) for it in links), sum(len(it.faults) for it in links)
    missing = f", {absent} not here (neither right nor wrong)" if absent else ""
    return f"{verified} verified{missing}, {wrong} wrong"


def _way_to_get(version: Version) -> str:
    """Say how what is not here comes here."""
    address, fetch = store.remote(ROOT), "`dvc fetch --all-tags`"
    if lineage.knows_remote(ROOT, version):
        return f"to get what is not here from {address}: {fetch}"
    why = f"the remote is younger than {version}" if address else "no DVC remote is set"
    first = f"`dvc remote add --local --default store {address or '<url>'}`"
    return f"to get what is not here: {why}; {first}, then {fetch}"
