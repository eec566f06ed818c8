"""The reference that belongs to a served version, verified, from wherever it is kept."""

from pathlib import Path

from tasks.core.shift_reference import Reference
from tasks.io import commits, params, reference, registry, store
from tasks.io.registry import Place
from tasks.io.serving import Served
from tasks.io.stage import StageError


def of(root: Path, served: Served) -> Reference:
    """Return the reference of held-out images of a version, by its commit's dvc.lock.

    Raises
    ------
    StageError
        If the version is of before there were references, or no place has the file whole.
    """
    place = params.section(Place, "register", root / params.FILE)
    version = registry.get(root, place.artifact, served.version)
    md5 = commits.outs(root, version.commit).get(reference.FILE.as_posix())
    if md5 is None or "members" in served.lacks:
        raise StageError(
            f"{version}: expected a version with {reference.FILE} to compare new images with; it "
            "is older than that. A version that is registered now has it: `make run`"
        )
    return reference.parse(_content(root, md5, version.tag), f"{reference.FILE} of {version}")


def _content(root: Path, md5: str, version: str) -> bytes:
    here = root / reference.FILE
    if here.exists() and store.digest(content := here.read_bytes()) == md5:
        return content
    try:
        return store.fetch(root, md5)
    except store.StoreError as error:
        raise StageError(
            f"{version}: its reference cannot be had: {error}. Where another clone has it: "
            "`dvc push --all-tags` there, `dvc fetch --all-tags` here"
        ) from None
