"""Git's plumbing: reading commits, and making one without touching the user's work."""

import os
import subprocess
import tempfile
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from tasks.io.stage import StageError

# Set by git for its hooks; a stage that runs below a hook has to look at its own repository.
_HOOK_VARIABLES = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX")


class GitError(StageError):
    """Git refused; the message holds the command and what git said."""


class Tag(NamedTuple):
    """An annotated tag: the commit it names, when (UTC) and by whom it was made, its message."""

    name: str
    commit: str
    time: datetime
    by: str
    message: str


_FIELDS = (
    "refname:strip=2",
    "*objectname",
    "taggerdate:unix",
    "taggername",
    "taggeremail",
    "contents",
)


def run(root: Path, *arguments: str, stdin: str = "", **variables: str) -> bytes:
    """Return what ``git <arguments>`` prints in ``root``; ``variables`` join its environment.

    Raises
    ------
    GitError
        If git is not installed or ends with an error.
    """
    environment = {k: v for k, v in os.environ.items() if k not in _HOOK_VARIABLES}
    environment |= {"LC_ALL": "C", "GIT_LITERAL_PATHSPECS": "1", **variables}
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=root,
            env=environment,
            input=stdin.encode(),
            capture_output=True,
            check=False,
        )
    except FileNotFoundError:
        raise GitError("git: expected the program `git` on the path; install it") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()
        raise GitError(f"git {arguments[0]} failed in {root.resolve()}: {said}")
    return done.stdout


def head(root: Path) -> str:
    """Return the full hash of the commit that is checked out.

    Raises
    ------
    GitError
        If ``root`` is in no repository, or its branch has no commit yet.
    """
    run(root, "rev-parse", "--git-dir")
    try:
        return run(root, "rev-parse", "--verify", "--quiet", "HEAD^{commit}").decode().strip()
    except GitError:
        raise GitError(
            "git: expected at least one commit to build on; this branch has none. "
            "Commit the pipeline's files first: git add . && git commit"
        ) from None


def content(root: Path, commit: str, path: str) -> bytes:
    """Return the bytes of ``path`` as they stand in ``commit``."""
    return run(root, "cat-file", "blob", f"{commit}:{path}")


def contents(root: Path, commit: str, paths: Iterable[str]) -> dict[str, bytes]:
    """Return the bytes of those of ``paths`` that ``commit`` holds, all from one process."""
    paths = list(paths)
    answer = run(root, "cat-file", "--batch", stdin="".join(f"{commit}:{path}\n" for path in paths))
    found, place = {}, 0
    for path in paths:
        line, _, _ = answer[place:].partition(b"\n")
        place += len(line) + 1
        if not line.endswith(b" missing"):
            size = int(line.rpartition(b" ")[2])
            found[path] = answer[place : place + size]
            place += size + 1
    return found


def tags(root: Path, *patterns: str) -> list[Tag]:
    """Return the annotated tags whose names match one of ``patterns`` (``*`` is any text)."""
    line = "%00".join(f"%({field})" for field in _FIELDS) + "%00"
    references = [f"refs/tags/{pattern}" for pattern in patterns]
    values = run(root, "for-each-ref", f"--format={line}", *references).decode().split("\0")
    rows = zip(*(values[number :: len(_FIELDS)] for number in range(len(_FIELDS))), strict=False)
    return [
        Tag(name.strip(), commit, datetime.fromtimestamp(int(time), UTC), f"{who} {mail}", message)
        for name, commit, time, who, mail, message in rows
        if commit  # a lightweight tag names no second object
    ]


def common_folder(root: Path) -> Path:
    """Return the folder that holds the repository itself; all its work trees share it."""
    return root / run(root, "rev-parse", "--git-common-dir").decode().strip()


def files(root: Path, commit: str, path: str) -> dict[str, str]:
    """Return the files at or below ``path`` in ``commit``, each with its blob's hash."""
    listed = run(root, "ls-tree", "-rz", commit, "--", path).decode()
    entries = (entry.partition("\t") for entry in listed.split("\0") if entry)
    return {name: about.split()[2] for about, _, name in entries}


def tree(root: Path, commit: str, folder: str) -> str | None:
    """Return git's hash of a folder in ``commit``; None if it has no such folder."""
    try:
        return run(root, "rev-parse", "--verify", "--quiet", f"{commit}:{folder}").decode().strip()
    except GitError:
        return None


def identity(root: Path) -> tuple[str, str]:
    """Return the user's name and mail as git knows them, else the program's own."""
    return (
        os.environ.get("GIT_COMMITTER_NAME") or _config(root, "user.name") or "Digitline",
        os.environ.get("GIT_COMMITTER_EMAIL") or _config(root, "user.email") or "digitline@invalid",
    )


def snapshot(root: Path, paths: Iterable[str], message: str) -> str:
    """Return a new commit: HEAD's files, with ``paths`` as they are on disk now.

    Folders are taken without what git ignores, files even if ignored; a path that is not on
    disk is absent from the commit. An index of its own is used: no branch moves, and the
    user's index and work tree stay as they are.
    """
    paths, parent = list(paths), head(root)
    folders = [path for path in paths if (root / path).is_dir()]
    single = [path for path in paths if (root / path).is_file()]
    with tempfile.TemporaryDirectory() as folder:
        index = str(Path(folder) / "index")
        run(root, "read-tree", parent, GIT_INDEX_FILE=index)
        forget = ("rm", "-rfq", "--cached", "--ignore-unmatch", "--")
        run(root, *forget, *paths, GIT_INDEX_FILE=index)
        run(root, "add", "--", *folders, GIT_INDEX_FILE=index)
        run(root, "add", "-f", "--", *single, GIT_INDEX_FILE=index)
        tree = run(root, "write-tree", GIT_INDEX_FILE=index).decode().strip()
    return _commit(root, tree, parent, message)


def _commit(root: Path, tree: str, parent: str, message: str) -> str:
    name, mail = identity(root)
    people = {f"GIT_{role}_NAME": name for role in ("AUTHOR", "COMMITTER")}
    people |= {f"GIT_{role}_EMAIL": mail for role in ("AUTHOR", "COMMITTER")}
    made = run(root, "commit-tree", tree, "-p", parent, stdin=message, **people)
    return made.decode().strip()


def _config(root: Path, key: str) -> str:
    return run(root, "config", "--default", "", "--get", key).decode().strip()
