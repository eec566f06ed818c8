"""The commands that change who is champion: ``promote`` and ``rollback``.

Both verify a version before they point at it, and both hold the registry's lock from the
first look to the tag, so that what they looked at is still so when they write.
"""

from pathlib import Path
from typing import Any

from tasks.io import history, params, registry, store, verification
from tasks.io.registry import Place, RegistryError, Version
from tasks.io.verification import Verified

ROOT = Path()


def promote(name: str, reason: str | None, force: bool) -> int:
    """Make version ``name`` champion if the gate says so today, or by ``force``.

    Returns
    -------
    int
        0 if it is champion now, 1 if it was refused.

    Raises
    ------
    StageError
        If there is no such version, a forced promotion has no reason, or it cannot be verified.
    """
    place = _place()
    reasons = [_needed(reason)] if force or reason else []
    with registry.turn(ROOT):
        version = registry.get(ROOT, place.artifact, name)
        if place.stage in version.held:
            print(f"{version.version} is the {place.stage} already")
            return 0
        found = verification.verify(ROOT, version, _max_gap(), without_batch=force)
        if not force:
            judged = _judged(version)
            reasons = [*judged["reasons"], *reasons]
            if judged["decision"] != "promote":
                return _refused(place, version, reasons)
        kind: history.Kind = "forced promotion" if force else "promotion"
        _point(place, version, kind, reasons, found)
    return 0


def rollback(to: str | None, reason: str | None, force: bool) -> int:
    """Make the champion before the current one champion again, or the version ``to``.

    ``force`` accepts a version without a known batch; nothing accepts a damaged one.

    Raises
    ------
    StageError
        If there is nothing to go back to, no reason, the target fails its verification, or
        another process made another version champion meanwhile.
    """
    place, reasons = _place(), [_needed(reason)]
    asked = _champion(place)
    with registry.turn(ROOT):
        now = _champion(place)
        if now.version != asked.version and to is None:
            raise RegistryError(
                f"expected to leave {asked.version}; while this waited, {now.version} became "
                f"{place.stage}. Nothing was changed: see `python -m flows history`"
            )
        target = _target(place, to)
        if place.stage in target.held:
            print(f"{target.version} is the {place.stage} already")
            return 0
        found = verification.verify(ROOT, target, _max_gap(), without_batch=force)
        _point(place, target, "rollback", reasons, found)
    return 0


def _point(
    place: Place, version: Version, kind: history.Kind, reasons: list[str], found: Verified
) -> None:
    """Let the stage point at ``version``, which was verified, and say so."""
    before = registry.champion(ROOT, place.artifact, place.stage)
    if version.md5 and store.restore(ROOT, version.md5, found.content):
        print(f"{version.path} was fetched into this clone's cache")
    known = None if found.gap is None else {"images": found.images, "gap": found.gap}
    tag = history.note(ROOT, place, version, kind, reasons, known_batch=known)
    print(f"verified: {_words(found)}")
    was = f", after {before.version}" if before else ""
    print(f"{place.stage} is {version.version}{was} ({kind}): {'; '.join(reasons)}")
    print(f"recorded in the tag {tag}")


def _words(found: Verified) -> str:
    loaded = "hashes as recorded, loads in a fresh process"
    if found.gap is None:
        return f"{loaded}; NOT its answers: its commit holds no known batch"
    return f"{loaded}, {found.images} known images answered within {found.gap:.1g}"


def _refused(place: Place, version: Version, reasons: list[str]) -> int:
    tag = history.refuse(ROOT, place, version, reasons)
    print(f"refused, not made {place.stage}: {'; '.join(reasons)}")
    print(f"recorded in the tag {tag}" if tag else "recorded before, for the same reasons")
    print("to promote it nevertheless: --force --reason TEXT, which stays in the history")
    return 1


def _target(place: Place, to: str | None) -> Version:
    events = history.events(ROOT, place)
    if to is None:
        return registry.get(ROOT, place.artifact, _predecessor(place, events))
    version = registry.get(ROOT, place.artifact, to)
    if version.version not in {reign.begun.version for reign in history.reigns(events)}:
        raise RegistryError(
            f"{version.version} never was {place.stage}, so there is no way back to it; "
            f"forth: python -m flows promote {version.version}"
        )
    return version


def _predecessor(place: Place, events: list[history.Event]) -> str:
    line = history.succession(events)
    if len(line) < 2:
        raise RegistryError(
            f"{line[-1]} has no {place.stage} before it to go back to. Name one that was "
            "left since with --to, or promote another: see `python -m flows history`"
        )
    return line[-2]


def _champion(place: Place) -> Version:
    champion = registry.champion(ROOT, place.artifact, place.stage)
    if champion is None:
        raise RegistryError(
            f"{place.artifact} has no {place.stage}: there is nothing to roll back. "
            "`make run` registers a model and promotes it if it passes"
        )
    return champion


def _judged(version: Version) -> dict[str, Any]:
    from tasks import gate

    return gate.judge_version(ROOT, version)


def _max_gap() -> float:
    from tasks.gate import Gate

    return params.section(Gate, "gate").max_answer_gap


def _place() -> Place:
    return params.section(Place, "register")


def _needed(reason: str | None) -> str:
    text = " ".join((reason or "").split())
    if not text:
        raise RegistryError("expected a reason, for those who ask later: --reason TEXT")
    if not text.isprintable():  # bytes that are no UTF-8 come as surrogates, which are not
        raise RegistryError(f"expected a reason in UTF-8, for a tag's message; got {text!a}")
    return text
