"""Profiles: named sets of parameter values, written into ``params.yaml`` in place."""

from collections.abc import Mapping
from copy import deepcopy
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

from tasks.io import params
from tasks.io.files import write_bytes
from tasks.io.stage import StageError

DEFAULT = "default"


class Change(NamedTuple):
    """One key of ``params.yaml`` that a profile changed."""

    key: str
    old: Any
    new: Any

    def __str__(self) -> str:
        return f"{self.key}: {_plain(self.old)} -> {_plain(self.new)}"


def use(name: str, file: Path = params.FILE) -> list[str]:
    """Write profile ``name`` into ``file``; return lines that tell what it did.

    Raises
    ------
    StageError
        If there is no such profile, or it names a key that ``file`` does not have.
    """
    changes = apply(name, file)
    if not changes:
        return [f"{file} already has the values of profile {name}"]
    back = [] if name == DEFAULT else ["to go back: make run PROFILE=default"]
    return [f"{file} now has the values of profile {name}:", *(f"  {c}" for c in changes), *back]


def apply(name: str, file: Path = params.FILE) -> list[Change]:
    """Write profile ``name`` into ``file``, comments and order kept; return what changed."""
    content = _load(file)
    profiles = content.get("profiles") or {}
    _check(name, profiles, file)
    values = profiles[name].items()
    changes = [change for key, new in values if (change := _set(content, key, new, file))]
    if changes:
        write_bytes(file, _dump(content))
    return changes


def _check(name: str, profiles: Mapping[str, Any], file: Path) -> None:
    if name not in profiles:
        known = ", ".join(profiles) or "none"
        raise StageError(f"{file}: profiles must have {name!r}, as asked for; it has {known}")
    missing = [key for key in profiles[name] if key not in profiles.get(DEFAULT, {})]
    if missing:
        # Otherwise there would be no way back to the default.
        keys = ", ".join(missing)
        raise StageError(f"{file}: profiles.{DEFAULT} must have every key of {name}; add {keys}")


def _set(content: Any, key: str, new: Any, file: Path) -> Change | None:
    *parents, last = key.split(".")
    place = content
    for part in parents:
        place = place.get(part) if isinstance(place, dict) else None
    if not isinstance(place, dict) or last not in place:
        raise StageError(f"{file}: profiles name {key}, which must be a key of the file; it is not")
    old = deepcopy(place[last])
    if old == new:
        return None
    if isinstance(old, list) and isinstance(new, list):
        place[last][:] = deepcopy(new)  # in place: the comments stand at the list
    else:
        place[last] = deepcopy(new)  # a copy: the same object twice would become an alias
    return Change(key, old, new)


def _plain(value: Any) -> str:
    return f"[{', '.join(map(_plain, value))}]" if isinstance(value, list) else str(value)


def _yaml() -> Any:
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 1000  # lines stay as a person broke them
    return yaml


def _load(file: Path) -> Any:
    params.load(file)  # the clear errors for a missing or broken file
    return _yaml().load(file)


def _dump(content: Any) -> bytes:
    buffer = BytesIO()
    _yaml().dump(content, buffer)
    return buffer.getvalue()
