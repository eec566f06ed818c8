"""DVC's store of artifacts: its cache in this clone, and the remote that clones share."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tasks.io import files
from tasks.io.stage import StageError


class StoreError(StageError):
    """No place has the right bytes; the message names each place and what was wrong there."""


class MissingError(StoreError):
    """No place has the file at all."""


@contextmanager
def opened(root: Path) -> Iterator[Any]:
    """Open DVC's ``Repo`` at ``root`` for a while.

    Raises
    ------
    StoreError
        If there is none.
    """
    from dvc.exceptions import NotDvcRepoError
    from dvc.repo import Repo

    try:
        repo = Repo(root)
    except NotDvcRepoError as error:
        raise StoreError(f"expected to be in a DVC repository; {error}") from None
    with repo:
        yield repo


def fetch(root: Path, md5: str) -> bytes:
    """Return the file of this md5 from DVC's cache, else from its remote.

    The bytes are hashed: DVC itself hands out a damaged cache file as if it were whole.

    Raises
    ------
    MissingError
        If neither has it.
    StoreError
        If one has it, but damaged.
    """
    faults, damaged = [], False
    for place, read in _places(root, md5):
        try:
            content = read()
        except Exception as error:  # a remote's library may raise anything
            faults.append(f"{place}: {_fault(root, error)}")
            continue
        if digest(content) == md5:
            return content
        damaged = True
        faults.append(f"{place}: damaged, md5 is {digest(content)}")
    kind = StoreError if damaged else MissingError
    raise kind(f"expected md5 {md5}; " + "; ".join(faults))


def restore(root: Path, md5: str, content: bytes) -> bool:
    """Put ``content`` into this clone's cache unless the cache has it whole; tell if it did so."""
    path = cache(root)(md5)
    if path.is_file() and digest(path.read_bytes()) == md5:
        return False
    files.write_bytes(path, content)
    path.chmod(0o444)  # as DVC leaves it: what is read-only there it takes for whole
    return True


def cache(root: Path) -> Callable[[str], Path]:
    """Return the function from an md5 to the place in the cache of this clone."""
    with opened(root) as repo:
        local = repo.cache.local
    return lambda md5: Path(local.oid_to_path(md5))


def remote(root: Path) -> str | None:
    """Return the address of the remote that ``dvc push`` uses; None if none is set."""
    from dvc.config import ConfigError

    with opened(root) as repo:
        try:
            name = repo.config["core"].get("remote")
            return str(repo.config["remote"][name]["url"]) if name else None
        except (ConfigError, KeyError):
            return None


def whereabouts(root: Path, md5s: Iterable[str]) -> dict[str, list[str]]:
    """Return which of ``cache`` and ``remote`` have each file; nothing is read or hashed.

    A remote that gives no answer is named ``remote?``.
    """
    from dvc.config import NoRemoteError

    found: dict[str, list[str]] = {}
    with opened(root) as repo:
        local = repo.cache.local
        for md5 in md5s:
            found[md5] = ["cache"] if Path(local.oid_to_path(md5)).is_file() else []
            try:
                shared = repo.cloud.get_remote_odb(command="pull")
                found[md5] += ["remote"] if shared.exists(md5) else []
            except NoRemoteError:
                continue
            except Exception:  # a remote's library may raise anything
                found[md5].append("remote?")
    return found


def digest(content: bytes) -> str:
    """Return the md5 by which DVC knows ``content``."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _places(root: Path, md5: str) -> Iterator[tuple[str, Callable[[], bytes]]]:
    with opened(root) as repo:
        local = repo.cache.local

        def from_remote() -> bytes:
            shared = repo.cloud.get_remote_odb(command="pull")
            return bytes(shared.fs.cat_file(shared.oid_to_path(md5)))

        yield "cache", lambda: Path(local.oid_to_path(md5)).read_bytes()
        yield "remote", from_remote


def _fault(root: Path, error: Exception) -> str:
    """Return ``error`` in words that are the same on every machine: decisions hold them."""
    from dvc.config import NoRemoteError

    if isinstance(error, FileNotFoundError):
        return "does not have it"
    if isinstance(error, NoRemoteError):
        return "none is set; where one has it: dvc remote add -d <name> <url>"
    return " ".join(str(error).replace(f"{root.resolve()}/", "").split())
