"""The toy pipeline as a clone that can be served: real flows, a stand-in for the monitor's eyes."""

import json
import shutil
from collections.abc import Iterable
from pathlib import Path

import pytest
import toy_pipeline
from ruamel.yaml import YAML

ROOT = Path(__file__).parent.parent

MONITORING = '''
"""A stand-in for flows/monitoring.py: a batch drifts if it holds a file named `drift`."""

import json
import time
from pathlib import Path
from typing import Any, NamedTuple

REPORTS = Path("reports/monitoring")


class Judged(NamedTuple):
    name: str
    alarm: bool
    kinds: list[str]
    cause: str
    alert: dict[str, str]
    report: Path


def watch(root, *, since=None, names=(), say=print):
    found = (root / "data/incoming").glob("*")
    batches = sorted(found, key=lambda path: (path.stat().st_mtime, path.name))
    known = [path.name for path in batches]
    again = known[known.index(since) :] if since else []
    for batch in batches:
        if batch.name in again or not (root / REPORTS / batch.name).exists():
            say(f"{batch.name}: judged")
            yield _judge(root, batch)


def _judge(root, batch):
    if (death := root / f"die.{batch.name}").exists():
        death.unlink()
        raise KeyboardInterrupt
    alarm = (batch / "drift").exists()
    kinds = (batch / "drift").read_text().split() if alarm else []
    what = f"{batch.name} differs" if alarm else "nothing new"
    alert = dict(what=what, sure="99 %", cost="2 points", look="page", started="")
    content = dict(batch=batch.name, time=time.time(), alarm=alarm, kinds=kinds,
                   cause="v0.0.1: " + " ".join(kinds), alert=alert)
    folder = root / REPORTS / batch.name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(json.dumps(content))
    (folder / "index.html").write_text(batch.name)
    return Judged(batch.name, alarm, kinds, content["cause"], alert, folder / "index.html")


def note_started(root, name, text):
    file = root / REPORTS / name / "report.json"
    content = json.loads(file.read_text())
    content["alert"]["started"] = text
    file.write_text(json.dumps(content))
'''


def params() -> str:
    """Return the section `monitor` of params.yaml as it is committed, without a wait."""
    section = YAML(typ="safe").load(ROOT / "params.yaml")["monitor"]
    return f"monitor: {json.dumps(section | {'settle': 0})}\n"


def make(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make the clone in ``folder``, go there and return it."""
    toy_pipeline.make(folder, monkeypatch)
    for name in ("tasks", "pyproject.toml"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "flows").mkdir()
    for module in (ROOT / "flows").glob("*.py"):
        (folder / "flows" / module.name).symlink_to(module)
    (folder / "flows/monitoring.py").unlink(missing_ok=True)
    (folder / "flows/monitoring.py").write_text(MONITORING)
    (folder / "params.yaml").write_text(toy_pipeline.PARAMS + params())
    shutil.copy(ROOT / "prefect.yaml", folder)
    return folder


def reschedule(folder: Path, seconds: dict[str, float]) -> None:
    """Let only the deployments named be due, each every so many seconds."""
    file = folder / "prefect.yaml"
    content = YAML().load(file)
    for deployment in content["deployments"]:
        every = seconds.get(deployment["name"])
        deployment["schedules"] = [{"interval": every}] if every else []
    YAML().dump(content, file)


def arrive(folder: Path, name: str, kinds: Iterable[str] = ()) -> None:
    """Let a batch arrive, with drift of these kinds."""
    batch = folder / "data/incoming" / name
    batch.mkdir(parents=True)
    (batch / "image.png").touch()
    if kinds:
        (batch / "drift").write_text(" ".join(kinds))
