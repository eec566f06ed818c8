"""Why a stage is out of date, in words: what it last ran with beside what is there now."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import takewhile
from operator import eq
from pathlib import Path, PurePosixPath
from typing import Any

from flows.graph import Stage
from flows.line_counts import changed_lines

MEMBER = "<member>"
"""Stands in a path for the name of a matrix' member, so that members' reasons can be equal."""

SHOWN = 3
"""Changed files of code that are named one by one; the rest is counted."""

NEVER_RAN = "never ran here"

Lines = Callable[[str, str, str], str]
"""How many lines of a path changed from one hash to another, as words to put behind these."""


@dataclass(frozen=True)
class Record:
    """What one run of a stage goes by, and what it leaves.

    ``params``: values by full dotted key, no mappings among them. ``deps`` and ``outs``: DVC's
    hash of each file or folder by its path; empty where it is missing.
    """

    command: str
    params: Mapping[str, Any]
    deps: Mapping[str, str]
    outs: Mapping[str, str]


@dataclass(frozen=True)
class Reasons:
    """Why a stage has to run, the root causes apart from what other stages made."""

    own: tuple[str, ...] = ()
    made: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Changed dependencies that stages make, each with the names of these."""

    def words(self) -> tuple[str, ...]:
        """Return one text a reason, root causes first."""
        single = {path: makers[0] for path, makers in self.made.items() if len(makers) == 1}
        folders = {path: makers for path, makers in self.made.items() if path not in single}
        return (*self.own, *_by_stages(single), *_by_members(folders))


def recorded(entry: Mapping[str, Any]) -> Record:
    """Return what an entry of ``dvc.lock`` says."""
    return Record(
        command=_command(entry.get("cmd")),
        params=_leaves_of_files(entry.get("params", {})),
        deps={item["path"]: item.get("md5", "") for item in entry.get("deps", [])},
        outs={item["path"]: item.get("md5", "") for item in entry.get("outs", [])},
    )


def between(
    then: Record, now: Record, makers: Mapping[str, tuple[str, ...]], lines: Lines
) -> Reasons:
    """Return what tells ``now`` from ``then``, the outputs apart.

    ``makers``: the stages that made a dependency.
    """
    files = [*now.deps, *(path for path in then.deps if path not in now.deps)]
    changed = [path for path in files if then.deps.get(path) != now.deps.get(path)]
    made = {path: makers[path] for path in changed if path in then.deps and makers.get(path)}
    sources = [
        _file(path, then.deps.get(path), now.deps.get(path), lines)
        for path in changed
        if path not in made
    ]
    return Reasons(
        (*_params(then.params, now.params), *_commands(then.command, now.command), *_few(sources)),
        made,
    )


def of_stage(stage: Any, node: Stage, lines: Lines) -> Reasons:
    """Return why DVC would run ``stage`` now; nothing if it is up to date.

    ``stage`` is DVC's own, ``node`` the same stage in the flow's graph. DVC's lock must be held.

    Raises
    ------
    dvc.lock.LockError
        If another command writes the stage's outputs at this moment.
    """
    from dvc.stage.decorators import rwlocked

    return rwlocked(read=["outs"])(_of_stage)(stage, node, lines)


def why(stage: Any, node: Stage) -> str:
    """Return `of_stage` as one line; empty if the stage is up to date."""
    lines = partial(changed_lines, Path(stage.repo.root_dir))
    return "; ".join(of_stage(stage, node, lines).words()).replace(MEMBER, node.member)


def shared(path: str, member: str) -> str:
    """Return ``path`` with ``<member>`` for ``member``, where that names a file or folder."""
    parts = [PurePosixPath(part) for part in path.split("/")]
    named = [MEMBER + part.suffix if part.stem == member else part.name for part in parts]
    return "/".join(named) if member else path


def first_of(paths: Iterable[str]) -> str:
    """Return ``data/a and 2 more``."""
    first, *rest = paths
    return f"{first} and {len(rest)} more" if rest else first


def _of_stage(stage: Any, node: Stage, lines: Lines) -> Reasons:
    if not any(file.hash_info for file in (*stage.deps, *stage.outs)):
        return Reasons((NEVER_RAN,))
    found = between(_then(stage), _now(stage), node.makers, lines)
    always = ["runs every time, as dvc.yaml says (always_changed)"] if stage.always_changed else []
    return Reasons((*always, *found.own, *_outputs(stage, node.member)), found.made)


def _then(stage: Any) -> Record:
    """Return what ``dvc.lock`` has of the dependencies that the stage still has.

    One that was taken from ``dvc.yaml`` is no reason for DVC to run the stage.
    """
    files, params = _split(stage)
    return Record(
        command=_last_command(stage),
        params=_leaves_of_files({dep.def_path: dep.hash_info.value or {} for dep in params}),
        deps={dep.def_path: dep.hash_info.value for dep in files if dep.hash_info},
        outs={},
    )


def _now(stage: Any) -> Record:
    files, params = _split(stage)
    return Record(
        command=_command(stage.cmd),
        params=_leaves_of_files({dep.def_path: dep.read_params() for dep in params}),
        deps={dep.def_path: dep.get_hash().value if dep.exists else "" for dep in files},
        outs={},
    )


def _split(stage: Any) -> tuple[list[Any], list[Any]]:
    """Return the stage's files and its parameters; DVC holds both as dependencies."""
    from dvc.dependency import ParamsDependency

    deps = [] if stage.frozen else stage.deps  # of a frozen stage DVC looks at none
    files = [dep for dep in deps if not isinstance(dep, ParamsDependency)]
    return files, [dep for dep in deps if isinstance(dep, ParamsDependency)]


def _last_command(stage: Any) -> str:
    if not getattr(stage, "cmd_changed", False):  # what `dvc add` made has no command at all
        return _command(stage.cmd)
    # DVC has put all of the lock file's entry into the stage, but this.
    return _command(stage.dvcfile.lockfile_contents["stages"][stage.name]["cmd"])


def _command(command: str | list[str] | None) -> str:
    return " && ".join(command) if isinstance(command, list) else command or ""


def _leaves_of_files(files: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {
        leaf: value
        for file, values in files.items()
        for key, inner in values.items()
        for leaf, value in _leaves(key if file == "params.yaml" else f"{file}:{key}", inner)
    }


def _leaves(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    if not isinstance(value, dict) or not value:
        yield key, value
        return
    for part, inner in value.items():
        yield from _leaves(f"{key}.{part}", inner)


def _params(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    for key in [*now, *(key for key in then if key not in now)]:
        if key not in then:
            yield f"{key} is new: {_plain(now[key])}"
        elif key not in now:
            yield f"{key} is gone; it was {_plain(then[key])}"
        elif then[key] != now[key]:
            yield f"{key} {_plain(then[key])} -> {_plain(now[key])}"


def _plain(value: Any) -> str:
    """Return ``value`` as YAML would take it on one line."""
    return json.dumps(value, ensure_ascii=False, default=str)


def _commands(then: str, now: str) -> Iterator[str]:
    """Yield the words of the command that changed: members of a matrix share these."""
    if then == now:
        return
    old, new = then.split(), now.split()
    head = _alike(old, new)
    tail = _alike(old[head:][::-1], new[head:][::-1])
    gone, come = (" ".join(words[head : len(words) - tail]) for words in (old, new))
    if gone and come:
        yield f"command changed: {gone} -> {come}"
    else:
        yield f"command changed: {f'{come} added' if come else f'{gone} removed'}"


def _alike(one: list[str], other: list[str]) -> int:
    """Return how many words at the start are the same."""
    return len(list(takewhile(bool, map(eq, one, other))))


def _file(path: str, then: str | None, now: str | None, lines: Lines) -> str:
    is_code = path.endswith(".py")
    what = f"code {path}" if is_code else path
    if then is None:
        return f"{what} is a new dependency"
    if now is None:
        return f"{what} is no dependency any more"
    if not now:
        return f"{what} is missing"
    counted = lines(path, then, now) if is_code else ""
    return f"{what} changed ({then[:7]} -> {now[:7]}{counted})"


def _few(texts: list[str]) -> list[str]:
    rest = len(texts) - SHOWN
    return texts if rest <= 1 else [*texts[:SHOWN], f"{rest} more files changed"]


def _by_stages(made: Mapping[str, str]) -> Iterator[str]:
    if made:
        yield f"{first_of(made)} changed, because {_and(made.values())} ran again"


def _by_members(made: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    # Of a folder around several stages' outputs DVC keeps one hash, which tells no more.
    if made:
        names = (name.partition("@")[0] for makers in made.values() for name in makers)
        text = f"{first_of(made)} changed, because members of {_and(names)}"
        yield f"{text} ran again, came or went"


def _and(names: Iterable[str]) -> str:
    *others, last = dict.fromkeys(names)
    return f"{', '.join(others)} and {last}" if others else last


def _outputs(stage: Any, member: str) -> Iterator[str]:
    by_state: dict[str, list[str]] = {}
    for out in stage.outs:
        if state := _state(out):
            by_state.setdefault(state, []).append(shared(out.def_path, member))
    for state, paths in by_state.items():
        if len(paths) == 1:
            yield f"output {paths[0]} is {state}"
        else:
            what = "all outputs" if len(paths) == len(stage.outs) else f"outputs {first_of(paths)}"
            yield f"{what} are {state}"


def _state(out: Any) -> str:
    if not out.hash_info:
        return "new in dvc.yaml"
    status = next(iter(out.status().values()), "")
    if status == "not in cache" and not out.exists:
        return "missing"
    words = {"deleted": "missing", "not in cache": "not in DVC's cache", "modified": "modified"}
    return words[status] if status else ""
