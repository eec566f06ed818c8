"""DVC's own graph, read once: nothing here restates an edge."""

import logging
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tasks.io.stage import StageError


@dataclass(frozen=True)
class Stage:
    """One stage of ``dvc.yaml``: its name, what it waits for, what it writes."""

    name: str
    upstream: tuple[str, ...]
    outs: tuple[Path, ...]
    retries: int = 0
    """How often a failed command is worth another try: ``meta: {retries: n}``."""
    makers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Each dependency that other stages make, as ``dvc.yaml`` names it, and these stages."""

    @property
    def group(self) -> str:
        """The part before ``@``: the stage's name in ``dvc.yaml``, its module and its section."""
        return self.name.partition("@")[0]

    @property
    def member(self) -> str:
        """The part of a matrix stage's name after ``@``; empty for others."""
        return self.name.partition("@")[2]


Graph = dict[str, Stage]
"""The stages by name, every stage after those that it waits for."""


def open_repo(root: Path | None = None) -> Any:
    """Return DVC's ``Repo`` for the pipeline in or above ``root``.

    It waits for DVC's lock: a stage that has just trained must not lose its result to
    another ``dvc`` that looks at the repository for a second.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    _quiet()
    try:
        return Repo(str(root) if root else None, _wait_for_lock=True)
    except DvcException as error:
        raise StageError(f"expected to be in a DVC repository; {error}") from None


def _quiet() -> None:
    """Leave of DVC's console output the warnings, without its progress bars.

    What it does is told once, by the flow.
    """
    for name in ("dvc", "dvc_objects", "dvc_data"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("dvc.progress").setLevel(logging.CRITICAL)


def read(repo: Any) -> Graph:
    """Return the graph of ``repo`` in the order of ``dvc.yaml``.

    What `dvc add` took is no stage of it: there is nothing to run. See `take_changes`.

    Raises
    ------
    StageError
        If ``dvc.yaml`` is wrong, with DVC's own words.
    """
    from dvc.exceptions import DvcException
    from networkx import lexicographical_topological_sort

    try:
        stages, graph = list(repo.index.stages), repo.index.graph
    except DvcException as error:
        raise StageError(f"{error}" + (f": {error.__cause__}" if error.__cause__ else "")) from None
    place = {stage: number for number, stage in enumerate(stages)}
    # DVC's edges lead from the consumer to its producer.
    order = lexicographical_topological_sort(graph.reverse(copy=False), key=place.__getitem__)
    return {stage.addressing: _stage(stage, graph) for stage in order if stage.cmd}


def _stage(stage: Any, graph: Any) -> Stage:
    stages = (other for other in graph.successors(stage) if other.cmd)
    upstream = sorted(stages, key=lambda other: other.addressing)
    return Stage(
        name=stage.addressing,
        upstream=tuple(other.addressing for other in upstream),
        outs=tuple(Path(out.fs_path) for out in stage.outs),
        retries=_retries(stage),
        makers={dep.def_path: makers for dep in stage.deps if (makers := _makers(dep, upstream))},
    )


def _makers(dep: Any, upstream: list[Any]) -> tuple[str, ...]:
    return tuple(
        stage.addressing
        for stage in upstream
        if any(_overlap(dep.fs_path, out.fs_path) for out in stage.outs)
    )


def _overlap(one: str, other: str) -> bool:
    """Tell whether two paths are the same or one is within the other."""
    # DVC's own function takes 70 ms for all pairs of this pipeline, this one 2.
    return f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/")


def _retries(stage: Any) -> int:
    value = (stage.meta or {}).get("retries", 0)
    if not isinstance(value, int) or not 0 <= value <= 10:
        where = f"{stage.path_in_repo}: {stage.addressing}: meta.retries"
        raise StageError(f"{where} must be a number from 0 to 10; got {value!r}")
    return value


def is_unchanged(repo: Any) -> bool:
    """Tell whether a run would find nothing to do, by DVC's own check of every stage."""
    from dvc.exceptions import DvcException
    from dvc.repo import lock_repo

    try:
        with lock_repo(repo):
            return not any(stage.changed() for stage in repo.index.stages)
    except DvcException:  # such as files in use: the run will wait for them, or say it
        return False


def take_changes(repo: Any) -> list[str]:
    """Let DVC note what was changed by hand in files that `dvc add` took; a line each.

    So does `dvc repro`. What is missing is left to the stage that needs it.
    """
    from dvc.repo import lock_repo

    with lock_repo(repo):
        added = [stage for stage in repo.index.stages if not stage.cmd]
        changed = [stage for stage in added if stage.outs[0].exists and stage.changed()]
    for stage in changed:
        repo.reproduce([stage.addressing], single_item=True)
    return [
        f"{stage.outs[0]} was changed by hand: {stage.relpath} says so now" for stage in changed
    ]


def prune(graph: Graph, root: Path) -> list[str]:
    """Remove what members of a matrix left that ``dvc.yaml`` no longer has; a line each.

    A stage that depends on the matrix' whole folder would take it for a member. Only what
    ``dvc.lock`` lists is removed, as DVC's cache keeps its content; the rest is named.
    """
    lines = []
    for path in stale(graph, root):
        shown = path.relative_to(root)
        if _is_known(path, root, _locked_outs(root)):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
            lines.append(f"removed {shown}: no stage makes it now (DVC's cache keeps its content)")
        else:
            lines.append(f"{shown} belongs to no stage: move it away or delete it")
    return lines


def stale(graph: Graph, root: Path) -> Iterator[Path]:
    """Yield what stands beside the outputs of matrix members and that no stage owns."""
    outs = {out for stage in graph.values() for out in stage.outs}
    owned = {path for out in outs for path in (out, *out.parents)}
    members = [stage for stage in graph.values() if stage.member]
    for home in sorted({home for stage in members for home in _homes(stage, root)}):
        shown = (path for path in sorted(home.glob("*")) if not path.name.startswith("."))
        yield from (path for path in shown if path not in owned and not outs & {*path.parents})


def _homes(stage: Stage, root: Path) -> Iterator[Path]:
    """Yield ``models/train`` for ``models/train/<member>/model.keras`` or ``…/<member>.json``."""
    for out in stage.outs:
        inside = (path for path in (out, *out.parents) if root in path.parents)
        yield from (path.parent for path in inside if stage.member in (path.name, path.stem))


def _locked_outs(root: Path) -> set[str]:
    from ruamel.yaml import YAML

    lock = root / "dvc.lock"
    content = YAML(typ="safe").load(lock) if lock.exists() else {}
    stages = (content or {}).get("stages", {}).values()
    return {out["path"] for stage in stages for out in stage.get("outs", [])}


def _is_known(path: Path, root: Path, outs: set[str]) -> bool:
    """Tell whether all that is in ``path``, hidden files apart, is an output in ``dvc.lock``."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    shown = [file.relative_to(root) for file in files if not file.name.startswith(".")]
    return bool(shown) and all(any(file.is_relative_to(out) for out in outs) for file in shown)
