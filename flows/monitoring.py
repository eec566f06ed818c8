"""Batches of new images, scored and held against the model's reference, one after the other."""

import zlib
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from flows import monitoring_pages, scoring
from tasks.core import alert, shift_columns, shift_judgement, shift_reference
from tasks.core.alert import Seen
from tasks.core.shift_judgement import Judgement, Labelled, Prepared
from tasks.core.shift_reference import Sample
from tasks.io import batches, files, monitoring, params, references, scores, serving
from tasks.io.batches import Batch
from tasks.io.monitoring_params import Monitor
from tasks.io.readers import stream
from tasks.io.serving import Served

SCORES = "scores.parquet"
Say = Callable[[str], None]


class Judged(NamedTuple):
    """A batch that was judged: its kinds of alarm, if any, and the alert in words.

    ``cause`` is the same text for every batch that alarms in this way with this model.
    """

    name: str
    alarm: bool
    kinds: Sequence[str]
    cause: str
    alert: dict[str, str]
    report: Path


class Against(NamedTuple):
    """What every batch is held against."""

    served: Served
    prepared: Prepared
    section: Monitor


class Taken(NamedTuple):
    """A sample of a batch's images ``(n, 28, 28)`` with their ids, and what labels say of all."""

    images: np.ndarray
    ids: list[str]
    labelled: Labelled


def watch(
    root: Path = Path(),
    *,
    since: str | None = None,
    names: Sequence[str] = (),
    say: Say = print,
) -> Iterator[Judged]:
    """Yield each batch as it is judged, in the order of arrival; each is published before.

    Without ``since`` and ``names`` those that were never judged; ``since``, a time or a batch's
    name, also takes those that were, ``names`` these alone. Killed at any time, the next call
    carries on.

    Raises
    ------
    StageError
        If there is no model, it has no reference, or no batch is what was asked for.
    """
    section = params.section(Monitor, "monitor", root / params.FILE)
    chosen = list(_chosen(root, section, since, names, say))
    if not chosen:
        say(f"no new batch in {batches.FOLDER}")
        return
    served = serving.load(root)
    prepared = shift_judgement.prepare(references.of(root, served))
    for batch in chosen:
        yield _judge(root, batch, Against(served, prepared, section), say)
        for name in monitoring.retain(root, section.keep):
            say(f"{name}: its pages are removed (monitor.keep); its line stays in the history")


def note_started(root: Path, name: str, text: str) -> None:
    """Write what an alarm started into a batch's report and page, and into the history."""
    report = monitoring.report(root, name)
    report["alert"]["started"] = text
    files.write_json(root / monitoring.FOLDER / name / monitoring.REPORT, report)
    monitoring_pages.batch(root, root / monitoring.FOLDER / name, report)
    for line in monitoring.history(root):
        if line["batch"] == name:
            monitoring.remember(root, line | {"started": text})
    monitoring_pages.index(root)


def _chosen(
    root: Path, section: Monitor, since: str | None, names: Sequence[str], say: Say
) -> Iterator[Batch]:
    there = batches.complete(root, section.settle)
    done = {line["batch"]: line["digest"] for line in monitoring.history(root)}
    if names:
        yield from batches.named(there, names)
        return
    if since is not None:
        yield from batches.since(there, since)
        return
    for batch in there:
        if batch.name not in done:
            yield batch
        elif done[batch.name] != batch.digest:
            again = f"to judge it again: python -m flows monitor {batch.name}"
            say(f"{batch.name}: its files have changed since it was judged; {again}")


def _judge(root: Path, batch: Batch, against: Against, say: Say) -> Judged:
    """Score a batch, judge it, and publish both."""
    part = monitoring.workplace(root, batch.name)
    output = part / SCORES
    output.unlink(missing_ok=True)
    counts = scoring.score(
        [root / batches.FOLDER / batch.name], output, root=root, version=against.served.version,
        base=root / batches.FOLDER, say=say,
    ).counts  # fmt: skip
    rng = np.random.default_rng(zlib.crc32(batch.name.encode()))
    seen = Seen(batch.name, counts.rows - counts.unreadable, counts.unreadable)
    answers = scores.answers(output)
    taken = _taken(root, batch, answers, against.section.sample, rng)
    judgement, sample = _judgement(seen, taken, against, rng)
    report = _report(batch, seen, judgement, sample, against)
    files.write_json(part / monitoring.REPORT, report)
    shown = monitoring_pages.Shown(taken.images, taken.ids, sample, judgement)
    held = against.prepared.reference
    monitoring_pages.write(root, part, report, shown=shown, held=held, answers=answers)
    place = monitoring.publish(root, batch.name)
    monitoring.remember(root, _line(report))
    monitoring_pages.index(root)
    alarm, kinds = report["alarm"], tuple(report["kinds"])
    page = place / "index.html"
    return Judged(batch.name, alarm, kinds, report["cause"], report["alert"], page)


def _taken(
    root: Path, batch: Batch, answers: scores.Said, size: int, rng: np.random.Generator
) -> Taken:
    """Read a batch once more: a sample of its images, and the labels of all."""
    readable = np.flatnonzero(answers.readable)
    chosen = {*rng.permutation(readable)[:size].tolist()}
    images, ids, right, labelled, row = list[np.ndarray](), list[str](), 0, 0, 0
    for chunk in stream.read([root / batches.FOLDER / batch.name], base=root / batches.FOLDER):
        for place, label in enumerate(chunk.labels):
            if label is not None and chunk.faults[place] is None:
                labelled += 1
                right += label == answers.predictions[row]
            if row in chosen:
                images.append(chunk.images[place])
                ids.append(chunk.ids[place])
            row += 1
    found = np.stack(images) if images else np.zeros((0, 28, 28), np.uint8)
    return Taken(found, ids, Labelled(right, labelled))


def _judgement(
    seen: Seen, taken: Taken, against: Against, rng: np.random.Generator
) -> tuple[Judgement | None, Sample | None]:
    if not len(taken.images):
        return None, None
    held, section = against.prepared.reference, against.section
    members = against.served.members(taken.images)
    sample = Sample(
        shift_columns.columns(taken.images, held.frame),
        shift_reference.judged(members, held, rng),
    )
    judgement = shift_judgement.judge(
        sample, against.prepared, section.limits(), rng, images=seen.images, labelled=taken.labelled
    )
    return judgement, sample


def _report(
    batch: Batch,
    seen: Seen,
    judgement: Judgement | None,
    sample: Sample | None,
    against: Against,
) -> dict[str, Any]:
    limits, held = against.section.limits(), against.prepared.reference
    kinds = alert.kinds_of(seen, judgement)
    columns = []
    if judgement and sample:
        middles = np.stack([np.median(part, axis=0) for part in (held.columns, sample.columns)])
        columns = alert.moved(judgement, held.names.tolist(), middles)
    served = against.served
    return {
        "batch": batch.name,
        "digest": batch.digest,
        "arrived": batch.arrived.isoformat(timespec="seconds"),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "images": seen.images,
        "unreadable": seen.unreadable,
        "model": {"version": served.version, "sha256": served.sha256},
        "alarm": bool(kinds),
        "kinds": list(kinds),
        "tests": alert.as_plain(judgement) if judgement else None,
        "columns": [column._asdict() for column in columns],
        "classes": _classes(judgement, served) if judgement else [],
        "cause": f"{served.version}: {', '.join(sorted(kinds))}" if kinds else "",
        "alert": alert.words(seen, judgement, columns, limits),
    }


def _classes(judgement: Judgement, served: Served) -> list[dict[str, Any]]:
    shares = (judgement.expected, judgement.predicted, judgement.true_shares)
    return [
        {"name": name, "expected": float(usual), "predicted": float(now), "estimated": float(true)}
        for name, usual, now, true in zip(served.classes, *shares, strict=True)
    ]


def _line(report: dict[str, Any]) -> dict[str, Any]:
    kept = ("batch", "digest", "arrived", "time", "images", "unreadable", "alarm", "kinds")
    tests = report["tests"] or {}
    return {
        **{key: report[key] for key in kept},
        "version": report["model"]["version"],
        "accuracy": tests.get("real") if tests.get("by_labels") else tests.get("estimate"),
        "by_labels": bool(tests.get("by_labels")),
        "usual": tests.get("usual"),
        "p": {name: tests[name]["p"] for name in ("input", "labels", "accuracy") if name in tests},
        "started": report["alert"]["started"],
    }
