"""Why each training ran and what came of it: a line each in `FILE`, beside the results."""

import json
from datetime import UTC, datetime
from pathlib import Path

from flows import verdict
from flows.verdict import Verdict

FILE = Path("reports/trainings.jsonl")


def note(said: Verdict, reason: str | None, root: Path) -> None:
    """Add a line for a training that had a reason: when, why, how it ended, which version."""
    if not reason:
        return
    line = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "reason": reason,
        "stages": verdict.summary(said.outcomes),
        "decision": said.decision.get("decision"),
        "version": said.version.get("version"),
    }
    file = root / FILE
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as log:
        log.write(json.dumps(line, ensure_ascii=False) + "\n")


def last(root: Path) -> str:
    """Return in short how the last of them ended; empty if there was none."""
    file = root / FILE
    if not file.exists():
        return ""
    line = json.loads(file.read_text().splitlines()[-1])
    decision = f"; {line['decision']} {line['version']}" if line["decision"] else ""
    return f"{line['stages']}{decision}"
