"""The registry of models: GTO tags on snapshot commits, over artifacts that DVC tracks.

The one file that touches GTO. A version is an annotated tag ``<name>@v<semver>`` on a
commit whose ``dvc.yaml`` names the artifact's path and whose ``dvc.lock`` holds its md5; a
stage is a tag ``<name>#<stage>#<n>`` on such a commit, and the newest one tells who holds
the stage. No tag is ever deleted or moved.
"""

import fcntl
import hashlib
import json
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from tasks.io import commits, git, store
from tasks.io.params import Section
from tasks.io.stage import StageError

LOCK_PATIENCE = 30
"""Seconds to wait for DVC's lock: stages that run side by side hold it for a moment each."""
TURN_PATIENCE = 300
"""Seconds to wait for the registry's lock: a rollback holds it while it fetches and verifies."""


class RegistryError(StageError):
    """The registry, or an artifact in it, is not what it should be."""


class AbsentError(RegistryError):
    """The artifact is neither in this clone's cache nor in its remote."""


REFUSED = "refused"
"""The GTO stage of what the gate refused; the tag's JSON names the stage that was asked for."""


def _not_refused(stage: str) -> str:
    if stage == REFUSED:
        raise ValueError(f"another name than {REFUSED}, which is the refusals' own")
    return stage


class Place(Section):
    """Where models are registered: section ``register`` of ``params.yaml``."""

    artifact: str = Field(pattern="^[a-z][a-z0-9-]*[a-z0-9]$", description="name in dvc.yaml")
    stage: Annotated[str, AfterValidator(_not_refused)] = Field(
        pattern="^[a-z][a-z0-9-]*[a-z0-9]$", description="stage of the best one"
    )


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


def versions(root: Path, name: str) -> list[Version]:
    """Return every version of ``name``, highest first."""
    return [_version(root, name, state) for state in _states(root, name)]


def get(root: Path, name: str, version: str) -> Version:
    """Return the version that is called ``version``, as ``v0.0.2`` or ``digits@v0.0.2``.

    Raises
    ------
    RegistryError
        If there is none of that name; names those that there are.
    """
    states = _states(root, name)
    for state in states:
        if version in (state["version"], f"{name}@{state['version']}"):
            return _version(root, name, state)
    known = ", ".join(state["version"] for state in states)
    there = f"expected one of {known}" if known else "there is none yet: `make run` registers one"
    raise RegistryError(f"{name} has no version {version}; {there}")


def find(root: Path, name: str, md5: str) -> Version | None:
    """Return the highest version of ``name`` whose artifact has this md5."""
    # Reading YAML takes longer than all the rest: only where the md5 stands at all.
    likely = (state for state in _states(root, name) if md5 in _lock_text(root, state))
    found = (_version(root, name, state) for state in likely)
    return next((version for version in found if version.md5 == md5), None)


def recorded(root: Path, commit: str, name: str) -> tuple[str, str]:
    """Return path and md5 of artifact ``name``, as ``commit`` records them.

    Raises
    ------
    RegistryError
        If dvc.yaml has no such artifact, or dvc.lock has no out of that path.
    """
    artifacts = commits.yaml(root, commit, "dvc.yaml").get("artifacts") or {}
    if name not in artifacts:
        raise RegistryError(f"{commit[:7]}:dvc.yaml: expected artifacts.{name}; it is missing")
    path = artifacts[name]["path"]
    outs = commits.outs(root, commit)
    if path in outs:
        return path, outs[path]
    raise RegistryError(
        f"{commit[:7]}:dvc.lock: expected the md5 of an out {path}; found none. "
        "The stage that writes it has to list that very file, and to have run"
    )


def tag_of(root: Path, version: Version) -> git.Tag:
    """Return the tag that made ``version``."""
    return git.tags(root, version.tag)[0]


def record(root: Path, version: Version) -> dict[str, Any]:
    """Return what the tag of ``version`` records; empty where it was made by hand."""
    return told(tag_of(root, version).message)


def fetch(root: Path, version: Version) -> bytes:
    """Return the artifact of ``version`` from DVC's cache, else from its remote, verified.

    Whoever loads a registered model takes its bytes from here: they have the md5 of the
    version's dvc.lock and, where its tag records one, the SHA-256.

    Raises
    ------
    AbsentError
        If no place has it.
    RegistryError
        If what a place has is damaged; names each place and what was wrong there.
    """
    if version.md5 is None:
        raise RegistryError(f"{version}: its commit records no md5 for this artifact")
    try:
        content = store.fetch(root, version.md5)
    except store.MissingError as error:
        where = "a clone that has it sends it by `dvc push --all-tags`"
        raise AbsentError(f"{version}: {error}. Where there is a remote, {where}") from None
    except store.StoreError as error:
        raise RegistryError(f"{version}: {error}") from None
    wanted, found = sha256(root, version), hashlib.sha256(content).hexdigest()
    if wanted not in (None, found):
        raise RegistryError(
            f"{version}: expected SHA-256 {wanted}, as its tag records; the file of md5 "
            f"{version.md5} has {found}. Do not use it: somebody made it to have that md5"
        )
    return content


def sha256(root: Path, version: Version) -> str | None:
    """Return the artifact's SHA-256 as the version's tag records it; None where it does not."""
    model = record(root, version).get("model")
    return model.get("sha256") if isinstance(model, dict) else None


def snapshot(root: Path, paths: Iterable[str], message: str) -> str:
    """Return a commit of ``paths`` as they are now; see `tasks.io.git.snapshot`.

    Holds DVC's lock meanwhile, so that dvc.lock is not read half written: in the flow other
    stages end at the same time.
    """
    from dvc.lock import LockError

    with store.opened(root) as repo:
        end = time.monotonic() + LOCK_PATIENCE
        while True:
            try:
                with repo.lock:
                    return git.snapshot(root, paths, message)
            except LockError as error:
                if time.monotonic() > end:
                    raise RegistryError(f"DVC's lock is held by another process: {error}") from None


@contextmanager
def turn(root: Path) -> Iterator[None]:
    """Wait for the turn to change this clone's registry, and keep every other process waiting.

    What is read within stays true until the end of the block: two registrations in one
    moment become two versions, two promotions get an order. The system ends the turn of a
    process that dies.
    """
    with (git.common_folder(root) / "digitline.lock").open("w") as file:
        end = time.monotonic() + TURN_PATIENCE
        while not _locks(file.fileno()):
            if time.monotonic() > end:
                raise RegistryError(
                    f"the registry is in use: another process has held {file.name} for more "
                    f"than {TURN_PATIENCE} s. Look for a hanging register, promote or rollback"
                )
            time.sleep(0.05)
        yield


def register(root: Path, name: str, commit: str, message: str) -> Version:
    """Tag ``commit`` as the next version of ``name``, with ``message`` in the tag."""
    import gto.api

    author, mail = git.identity(root)
    with _gto_errors():
        event = gto.api.register(
            root, name, commit, message=message, author=author, author_email=mail
        )
    return get(root, name, event.version)


def assign(root: Path, version: Version, stage: str, message: str) -> str:
    """Give ``stage`` to ``version``, whoever holds it, and return the tag that says so."""
    import gto.api

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


def message(title: str, words: str, details: dict[str, Any]) -> str:
    """Return a tag's message: a title, why in words, then everything as JSON."""
    return f"{title}\n\n{words}\n\n{json.dumps(details, indent=2, ensure_ascii=False)}\n"


def told(text: str) -> dict[str, Any]:
    """Return the JSON of a tag's message; empty where a tag was made by hand."""
    try:
        content = json.loads(text.rstrip().rpartition("\n\n")[2])
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _states(root: Path, name: str) -> list[dict[str, Any]]:
    """Return what GTO knows about each version of ``name``, highest version first."""
    import gto.api
    from gto.exceptions import ArtifactNotFound

    git.run(root, "rev-parse", "--git-dir")  # GTO's own words for "no repository" help nobody
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


def _wait_for_a_later_second(root: Path, name: str) -> None:
    """Sleep until the clock is past the newest assignment: a tag's time is whole seconds.

    Two assignments within one second have no order, and readers would disagree.
    """
    times = [tag.time.timestamp() for tag in git.tags(root, f"{name}#*")]
    newest = int(max(times, default=0))
    if newest > time.time() + 1:
        ahead = newest - time.time()
        raise RegistryError(
            f"the newest assignment of {name} was made {ahead:.0f} s in the future; expected "
            "this machine's clock to be later. Correct the clock, or wait"
        )
    while int(time.time()) <= newest:
        time.sleep(0.02)


def _locks(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _gto_errors() -> Iterator[None]:
    from gto.exceptions import GTOException

    try:
        yield
    except GTOException as error:
        raise RegistryError(f"registry: {error}") from None
