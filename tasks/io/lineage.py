"""From a version back to everything that made it: each hash on the way computed again.

What the version's tag says is compared with the commit that it names: a tag can be made anew
with other words, its commit cannot.
"""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tasks.io import commits, git, pipeline, registry, store
from tasks.io.pipeline import Fault
from tasks.io.registry import Version

DECISION = "models/decision.json"
METRICS = "reports/evaluate/metrics/ensemble.json"
PARAMS = "params.yaml"


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
    yield _data(root, version, record)
    yield _metrics(root, version, record)
    yield _parameters(root, version, record)
    yield _files(root, version, record)


def knows_remote(root: Path, version: Version) -> bool:
    """Return whether ``dvc fetch --all-tags`` has a remote to fetch this version from.

    DVC takes the settings of the tag's commit, and over them those of this clone alone.
    """
    with store.opened(root) as repo, repo.switch(version.commit):
        return bool(repo.config["core"].get("remote"))


def _decision(root: Path, version: Version, record: dict[str, Any]) -> Link:
    made = commits.figures(root, version.commit, DECISION)
    words = f"{made.get('decision')}: {'; '.join(made.get('reasons', []))}"
    judged = made.get("challenger", {})
    pairs = {"the model that was judged": (judged.get("md5"), version.md5)}
    for key in ("decision", "reasons"):
        if key in record:
            pairs[f"the {key} in the tag"] = (record[key], made.get(key))
    if record:
        pairs["the words of the tag"] = (_words(root, version), words)
    if sha256 := judged.get("sha256"):
        pairs["the SHA-256 that was judged"] = (sha256, record.get("model", {}).get("sha256"))
    return _compared("decision", words, pairs)


def _words(root: Path, version: Version) -> str:
    """Return the paragraph of the tag that tells people what its record tells programs."""
    return registry.tag_of(root, version).message.partition("\n\n")[2].partition("\n\n")[0]


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
    found: dict[str, Any] = {"path": version.path, "md5": version.md5}
    read = Link("artifact", says, 0)
    try:
        found["bytes"] = len(registry.fetch(root, version))
        read = read._replace(verified=2 if sha256 else 1)
    except registry.AbsentError as error:
        read = read._replace(absent=(str(error),))
    except registry.RegistryError as error:
        read = read._replace(faults=(Fault(str(version.path), str(error)),))
    pairs = {f"the {key} in the tag": (model[key], found[key]) for key in found if key in model}
    same = _compared("artifact", says, pairs)
    verified, faults = same.verified + read.verified, (*same.faults, *read.faults)
    return read._replace(verified=verified, faults=faults)


def _stages(root: Path, version: Version) -> Iterator[Link]:
    """Return the stages that led to the decision, each after those that it builds on."""
    run = pipeline.Pipeline(root, version.commit)
    for name in run.led_to({DECISION, str(version.path)}):
        found = run.verify(name)
        says = f"{found.outs} outs, {found.deps} dependencies, {found.params} parameters"
        total = found.outs + found.deps + found.params
        count = total - len({*found.absent, *(fault.what for fault in found.faults)})
        yield Link(name, says, count, found.absent, found.faults)


def _data(root: Path, version: Version, record: dict[str, Any]) -> Link:
    hashes = record.get("hashes", {}).get("data")
    ingest = commits.stages(root, version.commit).get("ingest", {})
    pairs = _pairs(hashes, {out["path"]: out.get("md5") for out in ingest.get("outs", [])})
    return _compared("data", _listed(pairs), pairs)


def _metrics(root: Path, version: Version, record: dict[str, Any]) -> Link:
    content = commits.figures(root, version.commit, METRICS)
    figures = {key: value for key, value in content.items() if isinstance(value, int | float)}
    pairs = _pairs(record.get("metrics"), figures, f"{METRICS}: ")
    return _compared("metrics", _counted(METRICS, pairs), pairs)


def _parameters(root: Path, version: Version, record: dict[str, Any]) -> Link:
    """Return the link of the parameters and the seed; profiles are no parameters of the run."""
    if not record:  # then its commit may be without the file
        return Link("parameters", "none recorded", 0)
    content = commits.yaml(root, version.commit, PARAMS)
    held = {key: value for key, value in content.items() if key != "profiles"}
    pairs = _pairs(record.get("parameters"), held, f"{PARAMS}: ")
    provenance = record.get("provenance", {})
    if "seed" in provenance:
        pairs[f"{PARAMS}: seed, beside the environment"] = (provenance["seed"], held.get("seed"))
    return _compared("parameters", _counted(PARAMS, pairs), pairs)


def _files(root: Path, version: Version, record: dict[str, Any]) -> Link:
    hashes = record.get("hashes", {}).get("files", {})
    pairs = {path: (sha256, _sha256(root, version.commit, path)) for path, sha256 in hashes.items()}
    return _compared("files", _listed(hashes), pairs)


def _pairs(recorded: Any, found: dict[str, Any], about: str = "") -> dict[str, tuple[Any, Any]]:
    """Return (recorded, found) pairs of every value that either has; none without a record."""
    if recorded is None:
        return {}
    said, held = _values(recorded), _values(found)
    return {f"{about}{key}": (said.get(key), held.get(key)) for key in said | held}


def _values(content: Any, key: str = "") -> dict[str, Any]:
    """Return each value below ``content`` by its dotted key."""
    if not isinstance(content, dict):
        return {key: content}
    below = (_values(inner, f"{key}.{name}" if key else name) for name, inner in content.items())
    return {path: value for values in below for path, value in values.items()}


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


def _counted(file: str, pairs: dict[str, tuple[Any, Any]]) -> str:
    return f"{file}, {len(pairs)} values" if pairs else "none recorded"


def _sha256(root: Path, commit: str, path: str) -> str | None:
    held = git.files(root, commit, path)
    return hashlib.sha256(git.content(root, commit, path)).hexdigest() if held else None
