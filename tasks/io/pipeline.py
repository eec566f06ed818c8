"""The run behind a commit: what dvc.lock records of each stage, looked up and hashed again.

Outs are in DVC's cache (or, where DVC does not cache them, in the commit), code is in the
commit, and what one stage takes from another has to be what the other left.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tasks.io import commits, git, store
from tasks.io.stage import StageError

_OPEN = "data/source"  # what users put there is in the commit only where DVC tracks it
_FOLDER = ".dir"  # ends the md5 of a folder, which is that of the list of its files


class Fault(NamedTuple):
    """A thing that is not as it was recorded, and how it differs."""

    what: str
    why: str


class Found(NamedTuple):
    """What was looked up of a stage: how many of each, what is not here, what is wrong."""

    outs: int
    deps: int
    params: int
    absent: tuple[str, ...]
    faults: tuple[Fault, ...]


class Pipeline:
    """A commit's dvc.yaml, dvc.lock and params.yaml, and where its files are now."""

    def __init__(self, root: Path, commit: str) -> None:
        self._root, self._commit = root, commit
        self._lock = commits.stages(root, commit)
        self._outs = commits.outs(root, commit)
        self._locate = store.cache(root)
        self._blobs: dict[str, str] = {}

    def led_to(self, paths: Iterable[str]) -> list[str]:
        """Return the stages behind ``paths``, each after those that it builds on.

        DVC's own graph of that commit tells them: dvc.lock keeps stages that have left it.

        Raises
        ------
        StageError
            If DVC cannot read the commit's dvc.yaml or dvc.lock.
        """
        import networkx
        from dvc.exceptions import DvcException

        ends = {self._writer(path) for path in paths}
        try:
            with store.opened(self._root) as repo, repo.switch(self._commit):
                graph = repo.index.graph
        except DvcException as error:
            raise StageError(f"{self._commit[:7]}: expected DVC's graph; {error}") from None
        # What `dvc add` took is no stage: who depends on it verifies it.
        order = [stage for stage in networkx.topological_sort(graph) if stage.cmd][::-1]
        last = [stage for stage in order if stage.name in ends]
        behind = {stage for end in last for stage in (end, *networkx.descendants(graph, end))}
        return [stage.name for stage in order if stage in behind]

    def verify(self, stage: str) -> Found:
        """Hash again what ``stage`` left and depended on, and compare its parameters."""
        entry = self._lock.get(stage, {})
        outs, deps = entry.get("outs", []), entry.get("deps", [])
        params = list(self._params(entry))
        states = {item["path"]: self._out(item["path"], item.get("md5")) for item in outs}
        states |= {item["path"]: self._dep(item["path"], item.get("md5")) for item in deps}
        faults = [Fault(path, why) for path, why in states.items() if why]
        faults += [Fault(key, why) for key, why in params if why]
        absent = tuple(path for path, why in states.items() if why is None)
        return Found(len(outs), len(deps), len(params), absent, tuple(faults))

    def _params(self, entry: dict[str, Any]) -> Iterator[tuple[str, str]]:
        """Return each recorded parameter, and how the commit's file differs from it."""
        for file, values in entry.get("params", {}).items():
            content = commits.yaml(self._root, self._commit, file)
            for key, value in values.items():
                found = _inside(content, key)
                same = found == value
                yield f"{file}: {key}", "" if same else f"recorded {value}; found {found}"

    # Each of the following returns "" where all is well, None where the thing is not here, and
    # else what is wrong with it.

    def _out(self, path: str, md5: str | None) -> str | None:
        if md5 is None:
            return None
        if self._locate(md5).is_file():
            return self._cached(path, md5)
        held = git.files(self._root, self._commit, path)
        return _difference(md5, self._tree(path, held)) if held else None

    def _dep(self, path: str, md5: str | None) -> str | None:
        if path in self._outs:
            return _difference(md5, self._outs[path], "; the stage before left ")
        held = git.files(self._root, self._commit, path)
        if added := commits.added(self._root, self._commit, path):
            return self._with_added(path, md5, held, added)
        if held:
            fault = _difference(md5, self._tree(path, held))
            return None if fault and path == _OPEN else fault
        below = {name: hash_ for name, hash_ in self._outs.items() if name.startswith(f"{path}/")}
        # A folder may have held more than outs; then its hash cannot be computed again.
        return "" if below and self._listing(path, below) == md5 else None

    def _with_added(
        self, path: str, md5: str | None, held: dict[str, str], added: dict[str, str]
    ) -> str | None:
        """Hash a folder of files in the commit and of what `dvc add` took, and the latter alone."""
        states = [self._out(name, hash_) for name, hash_ in added.items()]
        if faults := [state for state in states if state]:
            return faults[0]
        listed = self._listing(path, added, {name: self._blob(name) for name in held})
        return None if None in states or listed is None else _difference(md5, listed)

    def _cached(self, path: str, md5: str) -> str | None:
        """Hash a file in the cache, or a folder's list and each file on it."""
        content = self._locate(md5).read_bytes()
        if fault := _difference(md5.removesuffix(_FOLDER), store.digest(content)):
            return f"damaged in the cache: {fault}"
        if not md5.endswith(_FOLDER):
            return ""
        states = [self._out(f"{path}/{it['relpath']}", it["md5"]) for it in json.loads(content)]
        faults = [state for state in states if state]
        return faults[0] if faults else None if None in states else ""

    def _tree(self, path: str, held: dict[str, str]) -> str:
        """Return the md5 that DVC would give to what the commit holds at ``path``."""
        if path in held:
            return self._blob(path)
        return _listed({name.removeprefix(f"{path}/"): self._blob(name) for name in held})

    def _listing(
        self, path: str, outs: dict[str, str], others: dict[str, str] | None = None
    ) -> str | None:
        """Return the md5 of a folder from all that is in it; None if a list is not here."""
        entries = {name.removeprefix(f"{path}/"): md5 for name, md5 in (others or {}).items()}
        for name, md5 in outs.items():
            if not md5.endswith(_FOLDER):
                entries[name.removeprefix(f"{path}/")] = md5
            elif self._locate(md5).is_file():
                for it in json.loads(self._locate(md5).read_bytes()):
                    entries[f"{name}/{it['relpath']}".removeprefix(f"{path}/")] = it["md5"]
            else:
                return None
        return _listed(entries)

    def _blob(self, path: str) -> str:
        if path not in self._blobs:  # many stages depend on the same code
            content = git.content(self._root, self._commit, path)
            self._blobs[path] = store.digest(content)
        return self._blobs[path]

    def _writer(self, path: str) -> str | None:
        writers = (
            name
            for name, entry in self._lock.items()
            if path in {out["path"] for out in entry.get("outs", [])}
        )
        return next(writers, None)


def _inside(content: Any, key: str) -> Any:
    """Return the value at a dotted key."""
    for part in key.split("."):
        content = content.get(part) if isinstance(content, dict) else None
    return content


def _difference(recorded: str | None, found: str, between: str = "; found ") -> str:
    return "" if recorded == found else f"recorded md5 {recorded}{between}{found}"


def _listed(entries: dict[str, str]) -> str:
    """Return DVC's md5 of a folder with these files."""
    rows = [{"md5": entries[path], "relpath": path} for path in sorted(entries)]
    return store.digest(json.dumps(rows, sort_keys=True).encode()) + _FOLDER
