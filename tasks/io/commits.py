"""What a commit of the pipeline records, read without checking it out."""

import json
from pathlib import Path, PurePosixPath
from typing import Any

from tasks.core.classes import DIGITS
from tasks.io import about, git
from tasks.io.stage import StageError


def yaml(root: Path, commit: str, path: str) -> dict[str, Any]:
    """Return the sections of the YAML file ``path`` as it stands in ``commit``.

    Raises
    ------
    StageError
        If the commit lacks the file, or it is no YAML with sections.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        content = YAML(typ="safe").load(git.content(root, commit, path).decode())
    except (YAMLError, UnicodeDecodeError) as error:
        raise StageError(f"{commit[:7]}:{path}: expected YAML; {error}") from None
    if not isinstance(content, dict):
        raise StageError(f"{commit[:7]}:{path}: expected sections; got {type(content).__name__}")
    return content


def stages(root: Path, commit: str) -> dict[str, Any]:
    """Return what dvc.lock in ``commit`` records of each stage, by the stage's name."""
    return yaml(root, commit, "dvc.lock").get("stages") or {}


def outs(root: Path, commit: str) -> dict[str, str]:
    """Return the md5 of every out that dvc.lock in ``commit`` records, by the out's path."""
    entries = (out for stage in stages(root, commit).values() for out in stage.get("outs", []))
    return {out["path"]: out["md5"] for out in entries if "md5" in out}


def added(root: Path, commit: str, folder: str) -> dict[str, str]:
    """Return the md5 of what `dvc add` took below ``folder`` by its path, as ``commit`` has it."""
    found = {}
    for name in git.files(root, commit, folder):
        if name.endswith(".dvc"):
            for out in yaml(root, commit, name).get("outs") or []:
                found[(PurePosixPath(name).parent / out["path"]).as_posix()] = str(out["md5"])
    return found


def classes(root: Path, commit: str) -> tuple[str, ...]:
    """Return the names of the classes that the models of ``commit`` tell apart.

    A commit that does not tell is from when there was MNIST alone.
    """
    return tuple(figures(root, commit, about.FILE.as_posix()).get("classes", DIGITS))


def figures(root: Path, commit: str, path: str) -> dict[str, Any]:
    """Return the JSON object ``path`` of ``commit``; empty where it is not there or is none."""
    try:
        content = json.loads(git.content(root, commit, path))
    except (StageError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
