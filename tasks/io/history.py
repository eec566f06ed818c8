"""Who was champion from when to when, why and by whom: the registry's tags, read in order.

Each change is an assignment tag, and so is a refusal (to the stage `REFUSED`), so that
``gto history`` lists it, a clone has it, and nothing but deleting a tag can hide it. The
JSON at the end of the tag's message tells what kind of event it was.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

from tasks.io import git, registry
from tasks.io.registry import REFUSED, Place, Version

Kind = Literal["promotion", "forced promotion", "rollback", "refusal", "assignment", "withdrawal"]
"""The last two are tags made by other means than this program: ``gto assign``, ``deprecate``."""

_TAG = re.compile(r"(?P<name>.+)#(?P<stage>[^#!]+)(?P<withdrawn>!?)#(?P<number>\d+)")
_VERSION = re.compile(r".+@(?P<version>v[\d.]+)")  # without the ! of one that was deprecated


@dataclass(frozen=True)
class Event:
    """A change of a stage, or a refusal to change it.

    ``time`` is UTC, ``by`` a name and a mail as the tag has them, ``previous`` the version
    that held the stage before, ``details`` the whole JSON of the tag.
    """

    kind: Kind
    version: str
    time: datetime
    by: str
    reasons: tuple[str, ...]
    previous: str | None
    tag: str
    details: dict[str, Any]


class Reign(NamedTuple):
    """A version's time in a stage: the event that began it and the one that ended it, if any."""

    begun: Event
    ended: Event | None


def note(
    root: Path,
    place: Place,
    version: Version,
    kind: Kind,
    reasons: Iterable[str],
    **details: Any,
) -> str:
    """Record an event by a tag, which is the event, and return the tag.

    ``details`` join the JSON of its message.
    """
    held = registry.champion(root, place.artifact, place.stage)
    name, mail = git.identity(root)
    told = {
        "event": kind,
        "version": version.version,
        "stage": place.stage,
        "previous": held.version if held else None,
        "reasons": list(reasons),
        "by": f"{name} <{mail}>",
        **details,
    }
    named = f"{version.name} {version.version}"
    refused = kind == "refusal"
    title = f"{named} is refused as" if refused else f"{named} becomes"
    text = registry.message(f"{title} {place.stage}", f"{kind}: {'; '.join(told['reasons'])}", told)
    return registry.assign(root, version, REFUSED if refused else place.stage, text)


def refuse(root: Path, place: Place, version: Version, reasons: Iterable[str]) -> str | None:
    """Record a refusal and return its tag; None if this version's newest one says the same."""
    told = [it for it in refusals(events(root, place)) if it.version == version.version]
    reasons = tuple(reasons)
    if told and told[-1].reasons == reasons:
        return None
    return note(root, place, version, "refusal", reasons)


def events(root: Path, place: Place) -> list[Event]:
    """Return what happened to the stage of ``place``, oldest first."""
    tags = git.tags(root, f"{place.artifact}@*", f"{place.artifact}#*")
    versions = ((tag.commit, _VERSION.fullmatch(tag.name)) for tag in tags)
    names = {commit: found["version"] for commit, found in versions if found}
    found = []
    for tag in tags:
        parts = _TAG.fullmatch(tag.name)
        if parts and tag.commit in names:
            event = _event(tag, names[tag.commit], bool(parts["withdrawn"]))
            if event.details.get("stage", parts["stage"]) == place.stage:
                found.append((tag.time, int(parts["number"]), event))
    return [event for _, _, event in sorted(found, key=lambda item: item[:2])]


def reigns(events: Iterable[Event]) -> list[Reign]:
    """Return who held the stage, oldest first; refusals changed nothing.

    As GTO sees it, a withdrawal gives the stage back to whoever held it before.
    """
    found: list[Reign] = []
    line: list[str] = []
    for event in (event for event in events if event.kind != "refusal"):
        before, line = line[-1:], [version for version in line if version != event.version]
        if event.kind != "withdrawal":
            line.append(event.version)
        elif line[-1:] == before:
            continue
        if found and not found[-1].ended:
            found[-1] = Reign(found[-1].begun, event)
        if line:
            found.append(Reign(replace(event, version=line[-1]), None))
    return found


def refusals(events: Iterable[Event]) -> list[Event]:
    """Return the refusals, oldest first."""
    return [event for event in events if event.kind == "refusal"]


def succession(events: Iterable[Event]) -> list[str]:
    """Return the versions that rollbacks go back through, the champion last.

    A promotion puts its version on top. A rollback takes off what is above its target, so
    that the next one goes further back instead of forth to what was just left.
    """
    line: list[str] = []
    for event in events:
        if event.kind == "withdrawal":
            line = line[:-1] if line[-1:] == [event.version] else line
        elif event.kind == "rollback" and event.version in line[:-1]:
            del line[len(line) - line[-2::-1].index(event.version) - 1 :]
        elif event.kind != "refusal" and line[-1:] != [event.version]:
            line.append(event.version)
    return line


def left_by_rollback(events: Iterable[Event], version: str) -> Event | None:
    """Return the rollback that ended the last reign of ``version``; None if it ended otherwise."""
    ended = [reign.ended for reign in reigns(events) if reign.begun.version == version][-1:]
    return next((event for event in ended if event and event.kind == "rollback"), None)


def _event(tag: git.Tag, version: str, withdrawn: bool) -> Event:
    details = registry.told(tag.message)
    if withdrawn:
        details = {**details, "event": "withdrawal"}
    # Tags of before there were events hold the gate's decision; others were made by hand.
    former: Kind = "promotion" if details.get("decision") == "promote" else "assignment"
    return Event(
        kind=details.get("event", former),
        version=version,
        time=tag.time,
        by=details.get("by", tag.by),
        reasons=tuple(details.get("reasons", [tag.message.strip().partition("\n")[0]])),
        previous=details.get("previous"),
        tag=tag.name,
        details=details,
    )
