"""How many lines of a file changed between two of its versions, which DVC knows by hash alone."""

from difflib import SequenceMatcher
from hashlib import md5
from pathlib import Path

from tasks.io import git

COMMITS = 20
"""Commits of one file that are looked through for a version."""


def changed_lines(root: Path, path: str, then: str, now: str) -> str:
    """Return ``, +12 -3 lines``, or nothing where Git or the work tree lacks a version.

    ``then``, ``now``: MD5 of the two versions, as in ``dvc.lock``.
    """
    texts = {md5(text, usedforsecurity=False).hexdigest(): text for text in _versions(root, path)}
    if then not in texts or now not in texts:
        return ""
    added, removed = _count(texts[then].splitlines(), texts[now].splitlines())
    return f", +{added} -{removed} lines"


def _count(then: list[bytes], now: list[bytes]) -> tuple[int, int]:
    changes = SequenceMatcher(None, then, now, autojunk=False).get_opcodes()
    changes = [change for change in changes if change[0] != "equal"]
    return sum(c[4] - c[3] for c in changes), sum(c[2] - c[1] for c in changes)


def _versions(root: Path, path: str) -> list[bytes]:
    """Return ``path`` as it is in the work tree and as it was in the last commits."""
    here = [(root / path).read_bytes()] if (root / path).is_file() else []
    try:
        limit = f"--max-count={COMMITS}"
        commits = git.run(root, "log", limit, "--format=%H", "--", path).decode().split()
        names = "".join(f"{commit}:./{path}\n" for commit in commits)
        return [*here, *_blobs(git.run(root, "cat-file", "--batch", stdin=names))]
    except git.GitError:  # no repository, or no commit in it
        return here


def _blobs(batch: bytes) -> list[bytes]:
    """Return the contents in what ``git cat-file --batch`` prints."""
    blobs = []
    while batch:
        line, _, batch = batch.partition(b"\n")
        if not line.endswith(b" missing"):  # a commit that removed the file
            size = int(line.rpartition(b" ")[2])
            blobs.append(batch[:size])
            batch = batch[size + 1 :]
    return blobs
