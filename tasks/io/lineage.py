"""From a version back to everything that made it: each hash on the way computed again."""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tasks.io import commits, git, pipeline, registry
from tasks.io.pipeline import Fault
from tasks.io.registry import Version

DECISION = "models/decision.json"


class Link(NamedTuple):
    """One link of the chain: what was verified, what is not here to verify, what is wrong."""

    name: str
    says: str
    verified: int
    absent: tuple[str, ...] = ()
    faults: tuple[Fault, ...] = ()


def links(root: Path, version: Version) -> Iterator[Link]:
    """Return the chain of ``version``, from the decision back to the first stage."""
    record = registry.record(root, version)
    yield _decision(root, version, record)
    yield _commit(root, version, record)
    yield _artifact(root, version, record)
    yield from _stages(root, version)
    yield _files(root, version, record)


def _decision(root: Path, version: Version, record: dict[str, Any]) -> Link:
    made = commits.figures(root, version.commit, DECISION)
    words = f"{made.get('decision')}: {'; '.join(made.get('reasons', []))}"
    judged = made.get("challenger", {})
    pairs = {"the model that was judged": (judged.get("md5"), version.md5)}
    for key in ("decision", "reasons"):
        if key in record:
            pairs[f"the {key} in the tag"] = (record[key], made.get(key))
    if sha256 := judged.get("sha256"):
        pairs["the SHA-256 that was judged"] = (sha256, record.get("model", {}).get("sha256"))
    return _compared("decision", words, pairs)


def _commit(root: Path, version: Version, record: dict[str, Any]) -> Link:
    trees = record.get("hashes", {}).get("code", {})
    pairs = {
        f"git's tree of {folder}": (tree, git.tree(root, version.commit, folder))
        for folder, tree in trees.items()
        if tree
    }
    code = ", ".join(pairs) or "no hash of its code is recorded"
    return _compared("commit", f"{version.commit[:12]}: {code}", pairs)


def _artifact(root: Path, version: Version, record: dict[str, Any]) -> Link:
    model = record.get("model", {})
    sha256 = model.get("sha256")
    says = f"{version.path}, md5 {version.md5}, SHA-256 {sha256[:16] + '…' if sha256 else 'none'}"
    pairs = {"the md5 in the tag": (model["md5"], version.md5)} if model else {}
    same = _compared("artifact", says, pairs)
    try:
        registry.fetch(root, version)
    except registry.AbsentError as error:
        return same._replace(absent=(str(error),))
    except registry.RegistryError as error:
        return same._replace(faults=(*same.faults, Fault(str(version.path), str(error))))
    return same._replace(verified=same.verified + (2 if sha256 else 1))


def _stages(root: Path, version: Version) -> Iterator[Link]:
    """Return the stages that led to the decision, each after those that it builds on."""
    run = pipeline.Pipeline(root, version.commit)
    for name in run.led_to({DECISION, str(version.path)}):
        found = run.verify(name)
        says = f"{found.outs} outs, {found.deps} dependencies, {found.params} parameters"
        total = found.outs + found.deps + found.params
        count = total - len({*found.absent, *(fault.what for fault in found.faults)})
        yield Link(name, says, count, found.absent, found.faults)


def _files(root: Path, version: Version, record: dict[str, Any]) -> Link:
    hashes = record.get("hashes", {}).get("files", {})
    pairs = {path: (sha256, _sha256(root, version.commit, path)) for path, sha256 in hashes.items()}
    return _compared("files", _listed(hashes), pairs)


def _compared(name: str, says: str, pairs: dict[str, tuple[Any, Any]]) -> Link:
    """Return a link of (recorded, found) pairs by what they are about."""
    faults = [
        Fault(what, f"recorded {wanted}; found {found}")
        for what, (wanted, found) in pairs.items()
        if wanted != found
    ]
    return Link(name, says, len(pairs) - len(faults), faults=tuple(faults))


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none recorded"


def _sha256(root: Path, commit: str, path: str) -> str | None:
    held = git.files(root, commit, path)
    return hashlib.sha256(git.content(root, commit, path)).hexdigest() if held else None
