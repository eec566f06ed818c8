"""Which version holds a stage, read from git's tags alone: what the registry tells, faster.

It reads what `register`, `promote` and `rollback` write, in milliseconds. Where a tag is of
another kind, or two could be meant, it says nothing, and `tasks.io.registry` has the word, by
GTO and DVC.
"""

import re
from pathlib import Path
from typing import Any, NamedTuple

from tasks.io import git, registry
from tasks.io.git import Tag
from tasks.io.registry import Place
from tasks.io.stage import StageError


class Known(NamedTuple):
    """A version, and where its tag says that its artifact is and which hashes it has."""

    version: str
    path: str
    md5: str
    sha256: str


def find(root: Path, place: Place, version: str | None) -> Known | None:
    """Return ``version``, or the one that holds the stage of ``place``.

    None where there is none, or git's tags alone do not tell.

    Raises
    ------
    GitError
        If ``root`` is in no repository.
    """
    name = place.artifact
    tags = git.tags(root, f"{name}@*", f"{name}#*")
    numbered = re.compile(rf"{name}@v\d+\.\d+\.\d+|{name}#[a-z0-9-]+(#\d+)?")
    if not all(numbered.fullmatch(tag.name) for tag in tags):
        return None  # something was deprecated or unassigned by hand
    versions = [tag for tag in tags if tag.name.startswith(f"{name}@")]
    if version is None:
        holder = _newest([tag for tag in tags if _assigns(tag, place)])
        found = [tag for tag in versions if holder and tag.commit == holder.commit]
    else:
        found = [tag for tag in versions if version in (tag.name, tag.name.partition("@")[2])]
    return _known(root, found[0]) if len(found) == 1 else None


def _assigns(tag: Tag, place: Place) -> bool:
    return re.fullmatch(rf"{place.artifact}#{place.stage}(#\d+)?", tag.name) is not None


def _newest(tags: list[Tag]) -> Tag | None:
    ordered = sorted(tags, key=lambda tag: tag.time)
    if len(ordered) > 1 and ordered[-1].time == ordered[-2].time:
        return None
    return ordered[-1] if ordered else None


def _known(root: Path, tag: Tag) -> Known | None:
    model: Any = registry.told(tag.message).get("model")
    if not isinstance(model, dict):
        return None  # a version that was registered by hand
    fields = [model.get(key) for key in ("path", "md5", "sha256")]
    if not all(isinstance(field, str) for field in fields):
        return None
    found = Known(tag.name.partition("@")[2], *map(str, fields))
    try:
        lock = git.content(root, tag.commit, "dvc.lock").decode()
    except (StageError, UnicodeDecodeError):
        return None
    # A tag can be made anew with other words, its commit cannot.
    return found if f"md5: {found.md5}\n" in lock else None
