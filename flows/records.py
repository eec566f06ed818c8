"""The commands that read the registry: ``history`` and ``show``."""

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from flows.tables import Table, lines, wrapped
from tasks.io import history, params, registry, store
from tasks.io.history import Event, Reign
from tasks.io.registry import Place, Version

ROOT = Path()


def tell(as_json: bool) -> int:
    """Print who was champion from when to when, why and by whom, and what was refused."""
    place = params.section(Place, "register")
    events = history.events(ROOT, place)
    content = json.dumps(_plain(events), indent=2, ensure_ascii=False)
    print(content if as_json else "\n".join(_told(place, events)))
    return 0


def show(name: str | None) -> int:
    """Print all versions, or everything that is recorded about one."""
    place = params.section(Place, "register")
    if name is None:
        print(*_versions(place), sep="\n")
    else:
        print(*_version(place, registry.get(ROOT, place.artifact, name)), sep="\n")
    return 0


def moment(time: datetime) -> str:
    """Return a time in UTC, to the second as tags have it."""
    return f"{time:%Y-%m-%d %H:%M:%SZ}"


def _told(place: Place, events: list[Event]) -> Iterator[str]:
    reigns, refused = history.reigns(events), history.refusals(events)
    if not reigns:
        yield f"{place.artifact} has had no {place.stage} yet"
    else:
        yield f"{place.stage} of {place.artifact}, newest first; times are UTC"
        header = ("version", "from", "to", "how", "by")
        yield from _with_reasons(header, [(_reign(it), it.begun) for it in reversed(reigns)])
    if refused:
        yield ""
        yield f"refused as {place.stage}, newest first"
        at = [((it.version, moment(it.time), _name(it)), it) for it in reversed(refused)]
        yield from _with_reasons(("version", "at", "by"), at)


def _reign(reign: Reign) -> tuple[str, ...]:
    begun, ended = reign
    until = moment(ended.time) if ended else "now"
    return (begun.version, moment(begun.time), until, begun.kind, _name(begun))


def _name(event: Event) -> str:
    """Return who did it without the mail, which `show` and the JSON tell: lines stay short."""
    return event.by.partition(" <")[0]


def _with_reasons(
    header: tuple[str, ...], rows: Sequence[tuple[tuple[str, ...], Event]]
) -> Iterator[str]:
    """Return a table with each event's reasons below its row."""
    first, *drawn = lines(Table(header, [row for row, _ in rows], left=len(header)))
    indent = first.index(header[1])
    yield first
    for line, (_, event) in zip(drawn, rows, strict=True):
        yield line
        yield from wrapped("; ".join(event.reasons), indent)


def _plain(events: list[Event]) -> dict[str, Any]:
    """Return the history for machines, oldest first; times as ISO 8601 in UTC."""
    reigns = history.reigns(events)
    return {
        "reigns": [_entry(begun) | {"to": _iso(ended)} for begun, ended in reigns],
        "refusals": [_entry(it) for it in history.refusals(events)],
    }


def _entry(event: Event) -> dict[str, Any]:
    return {
        "version": event.version,
        "from": _iso(event),
        "how": event.kind,
        "reasons": list(event.reasons),
        "by": event.by,
        "previous": event.previous,
        "tag": event.tag,
    }


def _iso(event: Event | None) -> str | None:
    return event.time.isoformat() if event else None


def _versions(place: Place) -> Iterator[str]:
    versions = registry.versions(ROOT, place.artifact)
    if not versions:
        yield f"{place.artifact} has no version yet: `make run` registers one"
        return
    places = store.whereabouts(ROOT, [version.md5 for version in versions if version.md5])
    header = (
        "version",
        "registered (UTC)",
        "decision",
        "holds",
        "md5",
        "sha256",
        "kept in",
        "test %",
    )
    kinds = {event.tag: event.kind for event in history.events(ROOT, place)}
    rows = [_row(version, places.get(version.md5 or "", []), kinds) for version in versions]
    yield from lines(Table(header, rows, left=7))
    yield ""
    yield from wrapped(_whereabouts(), 0)


def _row(version: Version, places: list[str], kinds: dict[str, history.Kind]) -> tuple[str, ...]:
    tag = registry.tag_of(ROOT, version)
    record = registry.told(tag.message)
    accuracy = record.get("metrics", {}).get("accuracy")
    return (
        version.version,
        moment(tag.time),
        record.get("decision", ""),
        ", ".join(
            f"{stage} (forced)" if kinds.get(tag) == "forced promotion" else stage
            for stage, tag in version.held.items()
            if stage != registry.REFUSED
        ),
        (version.md5 or "")[:8],
        record.get("model", {}).get("sha256", "")[:12],
        ", ".join(places) or "nowhere",
        "" if accuracy is None else f"{100 * accuracy:.2f}",
    )


def _whereabouts() -> str:
    if address := store.remote(ROOT):
        return (
            f"remote: {address}. `dvc push --all-tags` sends the artifacts of every version that "
            "was registered since it was set, `git push --tags` the versions themselves."
        )
    return (
        "no DVC remote is set: this clone has of these versions what its own cache holds. "
        "Other clones get the tags without the models, and a lost disk loses them. To share "
        "those to come: dvc remote add -d <name> <url>."
    )


def _version(place: Place, version: Version) -> Iterator[str]:
    tag = registry.tag_of(ROOT, version)
    yield f"{version.name} {version.version}"
    yield f"tag: {tag.name}, {moment(tag.time)}, by {tag.by}"
    yield f"commit: {version.commit}"
    record = registry.told(tag.message)
    if not record:
        yield "record: none; the tag was made by hand"
    yield from _outline(record, 0)
    yield f"as {place.stage}:"
    events = [it for it in history.events(ROOT, place) if it.version == version.version]
    for event in events:
        yield f"  {moment(event.time)}  {event.kind}, by {event.by}"
        yield from wrapped("; ".join(event.reasons), 4)
    if not events:
        yield "  no event"


def _outline(content: dict[str, Any], depth: int) -> Iterator[str]:
    for key, value in content.items():
        if isinstance(value, dict) and value:
            yield f"{'  ' * depth}{key}:"
            yield from _outline(value, depth + 1)
        else:
            yield from _item(f"{key}: ", value, depth)


def _item(key: str, value: Any, depth: int) -> list[str]:
    text = "; ".join(map(str, value)) if isinstance(value, list) else str(value)
    first, *rest = wrapped(key + text, 2 * depth)
    return [first, *(f"  {line}" for line in rest)]
