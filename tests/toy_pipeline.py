"""A pipeline of eight tiny stages in a folder of its own, for the tests of flows/."""

from pathlib import Path

import pytest

STEP = """
import os, pathlib, sys, time
name, out, *sources = sys.argv[1:]
print(f"{name} starts")
if os.path.exists(f"fail.{name}"):
    print("error: told to fail", file=sys.stderr)
    sys.exit(1)
if os.path.exists(f"fail-once.{name}"):
    os.remove(f"fail-once.{name}")
    sys.exit("error: told to fail once")
if os.path.exists(f"sleep.{name}"):
    pathlib.Path(f"pid.{name}").write_text(str(os.getpid()))
    time.sleep(600)
pathlib.Path(out).parent.mkdir(parents=True, exist_ok=True)
pathlib.Path(out).write_text(name + "".join(pathlib.Path(s).read_text() for s in sources))
"""

PIPELINE = """
stages:
  ingest:
    cmd: python step.py ingest data/ingest
    params: [data]
    outs: [data/ingest]
    meta: {retries: 1}
  validate:
    cmd: python step.py validate data/validate data/ingest
    deps: [data/ingest]
    outs: [data/validate]
  train:
    matrix:
      member: ${train.members}
    cmd: python step.py train-${item.member} models/train/${item.member}/model data/ingest
    params: [train.epochs]
    deps: [data/ingest, data/validate]
    outs: ["models/train/${item.member}/model"]
  baseline:
    cmd: python step.py baseline models/baseline data/ingest
    deps: [data/ingest, data/validate]
    outs: [models/baseline]
  ensemble:
    cmd: python step.py ensemble models/ensemble
    deps: [models/train]
    outs: [models/ensemble]
  report:
    cmd: python step.py report reports/index.html models/ensemble models/baseline
    deps: [models/ensemble, models/baseline]
    outs: [reports/index.html]
"""

PARAMS = """# what can be turned
data: web # where from

train:
  epochs: 10 # each
  members: [a, b, c]

profiles:
  default:
    train.epochs: 10
    train.members: [a, b, c]
  quick:
    train.epochs: 1
    train.members: [a, b]
"""

STAGES = [
    "ingest", "validate", "train@a", "train@b", "train@c", "baseline", "ensemble", "report",
]  # fmt: skip


def make(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make the pipeline in ``folder``, go there and return it."""
    from dvc.repo import Repo

    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(folder / "site"))
    folder.mkdir()
    monkeypatch.chdir(folder)
    Repo.init(str(folder), no_scm=True).close()
    for name, text in {"dvc.yaml": PIPELINE, "params.yaml": PARAMS, "step.py": STEP}.items():
        (folder / name).write_text(text)
    return folder
