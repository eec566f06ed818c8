"""The command ``python -m flows explain``: what would run now, what has run since, and why."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

from flows import graph
from flows.line_counts import changed_lines
from flows.reasons import (
    MEMBER,
    Lines,
    Reasons,
    Record,
    between,
    first_of,
    of_stage,
    recorded,
    shared,
)
from tasks.io import git
from tasks.io.stage import StageError

LOCK = "dvc.lock"

BUSY = Reasons(("runs at this moment",))
FIRST = Reasons(("ran for the first time",))

Records = dict[str, Record]


def explain(rev: str | None = None) -> int:
    """Print what would run now, then what has run since ``rev``; return the exit status.

    ``rev``: a commit, branch or tag; HEAD if None.

    Raises
    ------
    StageError
        If there is no such revision, or ``dvc.lock`` cannot be read, here or there.
    """
    from dvc.repo import lock_repo

    with graph.open_repo() as repo, lock_repo(repo):  # no stage that ends is noted in part
        root = Path(repo.root_dir)
        commit, today = _commit(root, rev) if rev else _head(root), _read(root)
        stages, lines = graph.read(repo), cache(partial(changed_lines, root))
        reasons = _reasons(repo, stages, lines)
    shown = [*would_run(stages, reasons, today), ""]
    if commit:
        then, since = _read_commit(root, commit), f"{rev or 'HEAD'} ({commit[:7]})"
        shown += has_run(then, today, since, stages, lines)
    else:
        shown += ["what has run since is not known: there is no commit to compare with"]
    print(*shown, sep="\n")
    return 0


def would_run(
    stages: graph.Graph, reasons: Mapping[str, Reasons], today: Records | None
) -> Iterator[str]:
    """Yield what would run now and why, what may follow, and how much is up to date."""
    would, follow = _outdated(stages, reasons)
    fresh = len(stages) - len(would) - len(follow)
    yield "would run now" if would else "nothing would run now"
    yield from _grouped(would, stages)
    if follow:
        yield f"  may follow: {_named(follow, stages)}"
    if gone := [name for name in today or {} if name not in stages]:
        yield f"  gone from dvc.yaml: {_named(gone, [*stages, *gone])}"
    yield f"  up to date: {fresh} of {len(stages)} stages"


def has_run(
    then: Records | None, today: Records | None, since: str, stages: graph.Graph, lines: Lines
) -> Iterator[str]:
    """Yield what has run since a commit and why, by its ``dvc.lock`` (``then``) and today's.

    None stands for a ``dvc.lock`` that is not there, ``since`` for the commit's name.
    """
    if today is None:
        yield f"nothing has run here: there is no {LOCK}"
        return
    if then is None:
        yield f"all {len(today)} stages in {LOCK} have run since {since}, which has no {LOCK}"
        return
    ran = [name for name in dict.fromkeys([*stages, *today]) if _differs(name, then, today)]
    gone = [name for name in then if name not in today]
    yield f"has run since {since}" if ran else f"nothing has run since {since}"
    yield from _grouped({name: _why(name, then, today, stages, lines) for name in ran}, today)
    if gone:
        yield f"  no longer in {LOCK}: {_named(gone, then)}"
    if ran:
        yield f"  not run: {len(today) - len(ran)} of {len(today)} stages"


def _reasons(repo: Any, stages: graph.Graph, lines: Lines) -> dict[str, Reasons]:
    from dvc.lock import LockError

    def reasons(stage: Any) -> Reasons:
        try:
            return of_stage(stage, stages[stage.addressing], lines)
        except LockError:
            return BUSY

    return {stage.addressing: reasons(stage) for stage in repo.index.stages if stage.cmd}


def _outdated(
    stages: graph.Graph, reasons: Mapping[str, Reasons]
) -> tuple[dict[str, Reasons], list[str]]:
    """Return the stages that would run, and those that may follow.

    Whether the latter run is known only when their upstreams have: these may leave what they
    left before.
    """
    would: dict[str, Reasons] = {}
    follow: list[str] = []
    for name, stage in stages.items():
        # What another stage is about to make anew is no reason before it has been made.
        coming = {*would, *follow}
        made = {p: makers for p, makers in reasons[name].made.items() if not coming & {*makers}}
        if reasons[name].own or made:
            would[name] = Reasons(reasons[name].own, made)
        elif coming & {*stage.upstream}:
            follow.append(name)
    return would, follow


def _differs(name: str, then: Records, today: Records) -> bool:
    return name in today and today[name] != then.get(name)


def _why(name: str, then: Records, today: Records, stages: graph.Graph, lines: Lines) -> Reasons:
    if name not in then:
        return FIRST
    makers = stages[name].makers if name in stages else {}
    ran = {
        path: tuple(maker for maker in names if _differs(maker, then, today))
        for path, names in makers.items()
    }
    found = between(then[name], today[name], ran, lines)
    return found if found.words() else Reasons((_other_outputs(name, then[name], today[name]),))


def _other_outputs(name: str, then: Record, today: Record) -> str:
    changed = (path for path in today.outs if today.outs[path] != then.outs.get(path))
    left = first_of(shared(path, name.partition("@")[2]) for path in changed)
    return f"ran with nothing changed, and left another {left}"


def _grouped(reasons: Mapping[str, Reasons], known: Collection[str]) -> Iterator[str]:
    """Yield stages with their reasons, those with the same reasons together."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for name, found in reasons.items():
        groups.setdefault(found.words(), []).append(name)
    for texts, names in groups.items():
        member = names[0].partition("@")[2] if len(names) == 1 else MEMBER
        shown = [text.replace(MEMBER, member) for text in texts]
        yield f"  {_named(names, known)}" + (f": {shown[0]}" if len(shown) == 1 else "")
        yield from (f"    {text}" for text in shown if len(shown) > 1)


def _named(names: Iterable[str], known: Collection[str]) -> str:
    """Return ``ingest, train (6 members), baseline (2 of 6 members: rnn, svm)``."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(name.partition("@")[0], []).append(name)
    return ", ".join(_members(group, some, known) for group, some in groups.items())


def _members(group: str, names: list[str], known: Collection[str]) -> str:
    if len(names) == 1:
        return names[0]
    total = sum(name.partition("@")[0] == group for name in known)
    if len(names) == total:
        return f"{group} ({total} members)"
    listed = ", ".join(name.partition("@")[2] for name in names)
    return f"{group} ({len(names)} of {total} members: {listed})"


def _head(root: Path) -> str:
    try:
        return git.head(root)
    except git.GitError:  # no repository, or no commit in it: nobody asked for one
        return ""


def _commit(root: Path, rev: str) -> str:
    try:
        asked = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{rev}^{{commit}}")
        return git.run(root, *asked).decode().strip()
    except git.GitError:
        raise StageError(
            f"expected a commit, branch or tag of Git; {root} has no {rev!r}: "
            "`git log --oneline` lists commits"
        ) from None


def _read(root: Path) -> Records | None:
    file = root / LOCK
    hint = f"`git checkout {LOCK}` brings back the committed one"
    return _parse(file.read_bytes(), LOCK, hint) if file.exists() else None


def _read_commit(root: Path, commit: str) -> Records | None:
    if not git.run(root, "ls-tree", "--name-only", commit, "--", LOCK):
        return None
    return _parse(
        git.content(root, commit, f"./{LOCK}"), f"{LOCK} of {commit[:7]}", "name another commit"
    )


def _parse(text: bytes, where: str, hint: str) -> Records:
    from dvc.dvcfile import Lockfile
    from dvc.exceptions import DvcException
    from dvc.utils.serialize import parse_yaml

    try:
        content = Lockfile.validate(parse_yaml(text.decode(), where), where)
    except (DvcException, UnicodeDecodeError) as error:
        raise StageError(
            f"{where}: expected a lock file as DVC writes it; {error}; {hint}"
        ) from None
    return {name: recorded(entry) for name, entry in content.get("stages", {}).items()}
