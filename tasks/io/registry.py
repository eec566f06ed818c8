"""The registry of models: GTO tags on snapshot commits, over artifacts that DVC tracks.

The one file that touches GTO and DVC's store. A version is an annotated tag
``<name>@v<semver>`` on a commit whose ``dvc.yaml`` names the artifact's path and whose
``dvc.lock`` holds its md5; a stage is a tag ``<name>#<stage>#<n>`` on such a commit, and
the newest one tells who holds the stage.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from tasks.io import git
from tasks.io.params import Section
from tasks.io.stage import StageError

LOCK_PATIENCE = 30
"""Seconds to wait for DVC's lock: stages that run side by side hold it for a moment each."""


class RegistryError(StageError):
    """The registry, or an artifact in it, is not what it should be."""


class Place(Section):
    """Where models are registered: section ``register`` of ``params.yaml``."""

    artifact: str = Field(pattern="^[a-z][a-z0-9-]*[a-z0-9]$", description="name in dvc.yaml")
    stage: str = Field(pattern="^[a-z][a-z0-9-]*[a-z0-9]$", description="stage of the best one")


@dataclass(frozen=True)
class Version:
    """A registered version.

    ``path`` and ``md5`` are the artifact's, as the commit's dvc.yaml and dvc.lock record
    them; None where they do not. ``held`` maps each stage it holds now to the tag for it.
    """

    name: str
    version: str
    commit: str
    tag: str
    path: str | None
    md5: str | None
    held: dict[str, str]

    def __str__(self) -> str:
        """Return the name of its tag, as git and DVC know it."""
        return self.tag


def champion(root: Path, name: str, stage: str) -> Version | None:
    """Return the version of ``name`` that holds ``stage`` now, None if none does."""
    holders = (state for state in _states(root, name) if stage in _held(state))
    return next((_version(root, name, state) for state in holders), None)


def find(root: Path, name: str, md5: str) -> Version | None:
    """Return the highest version of ``name`` whose artifact has this md5."""
    # Reading YAML takes longer than all the rest: only where the md5 stands at all.
    likely = (state for state in _states(root, name) if md5 in _lock_text(root, state))
    versions = (_version(root, name, state) for state in likely)
    return next((version for version in versions if version.md5 == md5), None)


def recorded(root: Path, commit: str, name: str) -> tuple[str, str]:
    """Return path and md5 of artifact ``name``, as ``commit`` records them.

    Raises
    ------
    RegistryError
        If dvc.yaml has no such artifact, or dvc.lock has no out of that path.
    """
    artifacts = _yaml(root, commit, "dvc.yaml").get("artifacts") or {}
    if name not in artifacts:
        raise RegistryError(f"{commit[:7]}:dvc.yaml: expected artifacts.{name}; it is missing")
    path = artifacts[name]["path"]
    stages = (_yaml(root, commit, "dvc.lock").get("stages") or {}).values()
    for out in (out for stage in stages for out in stage.get("outs", [])):
        if out["path"] == path and "md5" in out:
            return path, out["md5"]
    raise RegistryError(
        f"{commit[:7]}:dvc.lock: expected the md5 of an out {path}; found none. "
        "The stage that writes it has to list that very file, and to have run"
    )


def recorded_accuracy(root: Path, commit: str, metrics: Path) -> float | None:
    """Return the ensemble's test accuracy as ``commit`` records it; None where it does not."""
    try:
        content = json.loads(git.content(root, commit, metrics.as_posix()))
        return float(content["accuracy"])
    except (StageError, ValueError, KeyError, TypeError):
        return None


def fetch(root: Path, version: Version) -> bytes:
    """Return the artifact of ``version`` from DVC's cache, else from its remote.

    Its md5 is checked: DVC itself hands out a damaged cache file as if it were whole.

    Raises
    ------
    RegistryError
        If no place holds the right bytes; names each place and what was wrong there.
    """
    if version.md5 is None:
        raise RegistryError(f"{version}: its commit records no md5 for this artifact")
    faults = []
    for place, read in _places(root, version.md5):
        try:
            content = read()
        except Exception as error:  # a remote's library may raise anything
            faults.append(f"{place}: {_fault(root, error)}")
            continue
        if _md5(content) == version.md5:
            return content
        faults.append(f"{place}: damaged, md5 is {_md5(content)}")
    raise RegistryError(f"{version}: expected md5 {version.md5}; " + "; ".join(faults))


def snapshot(root: Path, paths: Iterable[str], message: str) -> str:
    """Return a commit of ``paths`` as they are now; see `tasks.io.git.snapshot`.

    Holds DVC's lock meanwhile, so that dvc.lock is not read half written: in the flow other
    stages end at the same time.
    """
    from dvc.lock import LockError
    from dvc.repo import Repo

    with Repo(root) as repo:
        end = time.monotonic() + LOCK_PATIENCE
        while True:
            try:
                with repo.lock:
                    return git.snapshot(root, paths, message)
            except LockError as error:
                if time.monotonic() > end:
                    raise RegistryError(f"DVC's lock is held by another process: {error}") from None


def register(root: Path, name: str, commit: str, message: str) -> Version:
    """Tag ``commit`` as the next version of ``name``, with ``message`` in the tag."""
    import gto.api

    author, mail = git.identity(root)
    with _gto_errors():
        event = gto.api.register(
            root, name, commit, message=message, author=author, author_email=mail
        )
    return next(
        _version(root, name, state)
        for state in _states(root, name)
        if state["version"] == event.version
    )


def promote(root: Path, version: Version, stage: str, message: str) -> str:
    """Give ``stage`` to ``version`` and return the tag; nothing happens if it holds it."""
    import gto.api

    if stage in version.held:
        return version.held[stage]
    _wait_for_a_later_second(root, version.name)
    author, mail = git.identity(root)
    with _gto_errors():
        # force: GTO otherwise refuses a version that held the stage before.
        event = gto.api.assign(
            root,
            version.name,
            stage,
            version=version.version,
            message=message,
            author=author,
            author_email=mail,
            force=True,
        )
    return str(event.tag)


def _states(root: Path, name: str) -> list[dict[str, Any]]:
    """Return what GTO knows about each version of ``name``, highest version first."""
    import gto.api
    from gto.exceptions import ArtifactNotFound

    # `show` sorts a stage's holders by time; `find_versions_in_stage` sorts by version, which
    # names the wrong one once an older version was assigned again.
    with _gto_errors():
        try:
            found = gto.api.show(root, name, registered_only=True)
        except ArtifactNotFound:
            return []
    return [state for state in found if state["registrations"]]


def _held(state: dict[str, Any]) -> dict[str, str]:
    return {stage["stage"]: stage["assignments"][-1]["tag"] for stage in state["stages"]}


def _lock_text(root: Path, state: dict[str, Any]) -> str:
    try:
        return git.content(root, state["commit_hexsha"], "dvc.lock").decode()
    except (StageError, UnicodeDecodeError):
        return ""


def _version(root: Path, name: str, state: dict[str, Any]) -> Version:
    commit = state["commit_hexsha"]
    path: str | None
    md5: str | None
    try:
        path, md5 = recorded(root, commit, name)
    except StageError:
        path = md5 = None
    tag = state["registrations"][-1]["tag"]
    return Version(name, state["version"], commit, tag, path, md5, _held(state))


def _yaml(root: Path, commit: str, path: str) -> dict[str, Any]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        content = YAML(typ="safe").load(git.content(root, commit, path).decode())
    except (YAMLError, UnicodeDecodeError) as error:
        raise RegistryError(f"{commit[:7]}:{path}: expected YAML; {error}") from None
    if not isinstance(content, dict):
        raise RegistryError(f"{commit[:7]}:{path}: expected sections; got {type(content).__name__}")
    return content


def _places(root: Path, md5: str) -> Iterator[tuple[str, Callable[[], bytes]]]:
    from dvc.repo import Repo

    with Repo(root) as repo:
        cache = repo.cache.local

        def from_remote() -> bytes:
            remote = repo.cloud.get_remote_odb(command="pull")
            return bytes(remote.fs.cat_file(remote.oid_to_path(md5)))

        yield "cache", lambda: Path(cache.oid_to_path(md5)).read_bytes()
        yield "remote", from_remote


def _fault(root: Path, error: Exception) -> str:
    """Return ``error`` in words that are the same on every machine: decisions hold them."""
    from dvc.config import NoRemoteError

    if isinstance(error, FileNotFoundError):
        return "does not have it"
    if isinstance(error, NoRemoteError):
        return "none is set; where one has it: dvc remote add -d <name> <url>"
    return " ".join(str(error).replace(f"{root.resolve()}/", "").split())


def _wait_for_a_later_second(root: Path, name: str) -> None:
    """Sleep until the clock is past the newest assignment: a tag's time is whole seconds.

    Two assignments within one second have no order, and readers would disagree.
    """
    pattern = f"refs/tags/{name}#*"
    times = git.run(root, "for-each-ref", "--format=%(taggerdate:unix)", pattern).split()
    newest = max(map(int, times), default=0)
    if newest > time.time() + 1:
        ahead = newest - time.time()
        raise RegistryError(
            f"the newest assignment of {name} was made {ahead:.0f} s in the future; expected "
            "this machine's clock to be later. Correct the clock, or wait"
        )
    while int(time.time()) <= newest:
        time.sleep(0.02)


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


@contextmanager
def _gto_errors() -> Iterator[None]:
    from gto.exceptions import GTOException

    try:
        yield
    except GTOException as error:
        raise RegistryError(f"registry: {error}") from None
