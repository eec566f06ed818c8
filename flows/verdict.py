"""What a run came to: stages, scores, decision, version, report; read, then rendered."""

import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

from flows import tables
from flows.execute import BUSY, CACHED, FAILED, NOT_RUN, RAN, RESTORED, Outcome
from flows.tables import Table
from tasks.io import history, params
from tasks.io.files import read_json
from tasks.io.registry import Place

ENDED_WELL = (RAN, RESTORED, CACHED)

# Which file tells what, and the stage that must have ended well for it to be today's.
SCORES = ("evaluate", Path("reports/evaluate/leaderboard.json"))
DECISION = ("gate", Path("models/decision.json"))
VERSION = ("register", Path("models/registration.json"))
REPORT = ("report", Path("reports/index.html"))

_STYLES = {RAN: "green", RESTORED: "cyan", CACHED: "bright_black", FAILED: "bold red"}


@dataclass(frozen=True)
class Verdict:
    """Everything that the end of a run says; what the run did not reach is empty.

    ``since`` tells who became champion after the registration, by hand; empty if nobody did.
    """

    outcomes: list[Outcome]
    scores: list[dict[str, Any]]
    decision: dict[str, Any]
    version: dict[str, Any]
    report: Path | None
    missing: list[str]
    since: str = ""
    seconds: float | None = None


def collect(outcomes: list[Outcome], root: Path, seconds: float | None = None) -> Verdict:
    """Read what the stages left, but only of those that ended well: the rest is of old."""
    well = {outcome.name for outcome in outcomes if outcome.state in ENDED_WELL}
    wanted = [path for stage, path in (SCORES, DECISION, VERSION, REPORT) if stage in well]
    there = {path for path in wanted if (root / path).exists()}
    content = {path: read_json(root / path) for path in there if path.suffix == ".json"}
    version = content.get(VERSION[1], {})
    return Verdict(
        outcomes=outcomes,
        scores=content.get(SCORES[1], []),
        decision=content.get(DECISION[1], {}),
        version=version,
        report=(root / REPORT[1]).resolve() if REPORT[1] in there else None,
        missing=[
            f"{path} is missing, though its stage ended well"
            for path in wanted
            if path not in there
        ],
        since=_since(version, root) if "time" in version else "",
        seconds=seconds,
    )


def _since(version: dict[str, Any], root: Path) -> str:
    place = params.section(Place, "register", root / params.FILE)
    changes = [reign.begun for reign in history.reigns(history.events(root, place))]
    registered = datetime.fromisoformat(version["time"])
    if not changes or changes[-1].tag == version["stage_tag"] or changes[-1].time < registered:
        return ""
    now = changes[-1]
    return f"since then {now.version} became {place.stage}: {now.kind}, {'; '.join(now.reasons)}"


def is_well(outcomes: list[Outcome]) -> bool:
    """Tell whether every stage is up to date now."""
    return all(outcome.state in ENDED_WELL for outcome in outcomes)


def summary(outcomes: list[Outcome]) -> str:
    """Return one line: ``12 stages: 3 Ran, 9 Cached``."""
    counts = Counter(outcome.state for outcome in outcomes)
    order = (RAN, RESTORED, CACHED, FAILED, BUSY, NOT_RUN)
    parts = [f"{counts[state]} {state}" for state in order if counts[state]]
    return f"{len(outcomes)} stages: {', '.join(parts)}"


def stage_table(verdict: Verdict) -> Table:
    """Return stage, state and seconds, in the order of the graph."""
    rows = [(o.name, o.state, _seconds(o)) for o in verdict.outcomes]
    styles = [_STYLES.get(o.state, "") for o in verdict.outcomes]
    return Table(("stage", "state", "seconds"), rows, left=2, styles=styles)


def score_table(verdict: Verdict) -> Table:
    """Return the leaderboard: accuracies in percent, the test's with its interval."""
    level = verdict.scores[0].get("level", 0.95)
    header = ("model", "kind", "held out %", "test %", f"{100 * level:.0f} % interval")
    winners = ["bold" if row.get("winner") else "" for row in verdict.scores]
    return Table(header, [_score(row) for row in verdict.scores], left=2, styles=winners)


def decision_lines(verdict: Verdict) -> list[str]:
    """Return the gate's word with its reasons, and the version that came of it."""
    lines = []
    promoted = verdict.decision.get("decision") == "promote"
    if verdict.decision:
        word = "promoted" if promoted else "refused"
        lines.append(f"the ensemble is {word}: {'; '.join(verdict.decision['reasons'])}")
    if verdict.version.get("withheld"):
        lines.append(f"but not made champion: {verdict.version['withheld']}")
    elif verdict.version:
        stage = verdict.version["stage"]
        held = f", {'made' if promoted else 'still'} {stage}" if stage else ""
        lines.append(f"version {verdict.version['version']}{held}")
    return [*lines, verdict.since] if verdict.since else lines


def show(verdict: Verdict, to: TextIO = sys.stdout) -> None:
    """Print the verdict: with colours in a terminal, as plain aligned lines elsewhere."""
    draw = _draw_rich if to.isatty() else _draw_plain
    print(file=to)
    draw(stage_table(verdict), to)
    if verdict.scores:
        print(file=to)
        draw(score_table(verdict), to)
        print("* the winner, chosen by held-out training images", file=to)
    print(*_closing(verdict), sep="\n", file=to, flush=True)


def _closing(verdict: Verdict) -> Iterator[str]:
    yield ""
    took = f", {verdict.seconds:.1f} s" if verdict.seconds is not None else ""
    yield summary(verdict.outcomes) + took
    yield from decision_lines(verdict)
    yield from verdict.missing
    if verdict.report:
        yield f"report: {verdict.report}"
    for outcome in verdict.outcomes:
        if outcome.state in (FAILED, BUSY):
            word = "failed" if outcome.state == FAILED else "found its files in use"
            yield f"\n{outcome.name} {word}; its last lines:"
            yield from (f"  {line}" for line in outcome.error.splitlines())


def _seconds(outcome: Outcome) -> str:
    return f"{outcome.seconds:.1f}" if outcome.state in (RAN, RESTORED, FAILED) else ""


def _score(row: dict[str, Any]) -> tuple[str, ...]:
    test, validation = row["test_accuracy"], row.get("validation_accuracy")
    interval = f"{100 * row['low']:.2f} to {100 * row['high']:.2f}"
    name = row["model"] + (" *" if row.get("winner") else "")
    return (name, row["kind"], _percent(validation), _percent(test), interval)


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.2f}"


def _draw_plain(table: Table, to: TextIO) -> None:
    print(*tables.lines(table), sep="\n", file=to)


def _draw_rich(table: Table, to: TextIO) -> None:
    from rich.console import Console
    from rich.table import Table as RichTable

    drawn = RichTable(box=None, pad_edge=False, header_style="bold")
    for number, name in enumerate(table.header):
        drawn.add_column(name, justify="left" if number < table.left else "right")
    for row, style in zip(table.rows, table.styles or [""] * len(table.rows), strict=True):
        drawn.add_row(*row, style=style)
    Console(file=to, highlight=False).print(drawn)
