"""One run of the whole graph on a few hundred real images, watched from inside every stage."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import real_mnist
from ruamel.yaml import YAML

from tasks.core import calibration
from tasks.io import predictions, serving

ROOT = Path(__file__).parent.parent
SEALED = "data/ingest/test_labels.npy"
SIDE = ("label_audit", "register", "report")
"""Stages that no decision depends on."""
SMALL = {
    "data.train_rows": 600,
    "data.test_rows": 300,
    "preprocess.folds": 2,
    "train.folds": [0, 1],
    "train.recipe.epochs": 2,
    "train.recipe.batch_size": 32,
    "baseline.random_forest.trees": 40,
    "baseline.rnn.epochs": 1,
    "baseline.rnn.units": 16,
    "baseline.rnn.batch_size": 32,
    "baseline.notebook.epochs": 1,
    "ensemble.compared": 100,
}
IDENTITY = {
    f"GIT_{role}_{key}": value
    for role in ("AUTHOR", "COMMITTER")
    for key, value in {"NAME": "Test", "EMAIL": "test@example.com"}.items()
}
# Runs in every Python process below: notes each file of the clone that a stage opens to read.
WATCH = """
import os, sys
stage, root, log = os.environ.get("DVC_STAGE"), os.environ["WATCHED"], os.environ["WATCH_LOG"]
def note(event, arguments):
    if event != "open" or not isinstance(arguments[0], str):
        return
    path, mode = os.path.abspath(arguments[0]), arguments[1]
    if path.startswith(root + os.sep) and (mode is None or "r" in mode):
        line = f"{stage} {os.path.relpath(path, root)}\\n".encode()
        os.write(descriptor, line)
if stage:
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    sys.addaudithook(note)
"""


class Run(NamedTuple):
    """A finished run: its clone, and the files that each stage read."""

    clone: Path
    read: dict[str, set[str]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Run:
    folder = tmp_path_factory.mktemp("end-to-end")
    clone = folder / "clone"
    _prepare(clone, pytestconfig)
    (folder / "sitecustomize.py").write_text(WATCH)
    watching = {
        "PYTHONPATH": str(folder),
        "WATCHED": str(clone),
        "WATCH_LOG": str(folder / "log"),
    }
    said = _call(clone, sys.executable, "-m", "flows", "train", **watching)
    (folder / "said").write_text(said)
    read: dict[str, set[str]] = {}
    for line in (folder / "log").read_text().splitlines():
        stage, path = line.split(" ", 1)
        read.setdefault(stage, set()).add(path)
    return Run(clone, read)


def _prepare(clone: Path, config: pytest.Config) -> None:
    """Make a repository of the work tree's own files, with small values in params.yaml."""
    _copy(clone)
    _shrink(clone / "params.yaml", str(real_mnist.path(config)))


def _copy(clone: Path) -> None:
    """Make a repository of the work tree's own files, with a commit and no history."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file() and not name.startswith(("tests/", "dvc.lock")):
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, clone / name)
    _call(clone, "git", "init", "--quiet")
    _call(clone, "git", "add", ".")
    _commit(clone, "start")


def _commit(clone: Path, message: str, *options: str) -> None:
    _call(clone, "git", "commit", "--quiet", "--message", message, *options, **IDENTITY)


def _shrink(file: Path, source: str, small: Mapping[str, object] = SMALL) -> None:
    yaml = YAML()
    content = yaml.load(file)
    for key, value in {**small, "data.source": source}.items():
        *parents, last = key.split(".")
        section: Any = content
        for parent in parents:
            section = section[parent]
        section[last] = value
    yaml.dump(content, file)


def _call(folder: Path, *command: str, **environment: str) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    found = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | {"PATH": path, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stdout + found.stderr
    return found.stdout + found.stderr


def _stages(clone: Path) -> dict[str, Any]:
    return dict(YAML(typ="safe").load(clone / "dvc.lock")["stages"])


def _hashes(clone: Path) -> dict[str, str]:
    """Return the MD5 of every output by its path, as dvc.lock has them."""
    outs = (out for entry in _stages(clone).values() for out in entry["outs"])
    return {out["path"]: out["md5"] for out in outs}


def test_every_stage_ran_and_is_locked(run):
    names = {name.partition("@")[0] for name in _stages(run.clone)}
    assert names == set(YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"])


def test_no_stage_before_evaluation_opens_the_test_labels_but_validation(run):
    readers = {stage for stage, paths in run.read.items() if SEALED in paths}
    assert readers == {"validate", "evaluate", "gate", "report"}


def test_a_stage_reads_nothing_that_it_does_not_depend_on(run):
    """Seen from inside: every file that Python opened, against the stage's list."""
    own = {"params.yaml", "dvc.yaml", "dvc.lock"}
    for stage, entry in _stages(run.clone).items():
        listed = [item["path"] for item in [*entry["deps"], *entry.get("outs", [])]]
        strange = {
            path
            for path in run.read[stage] - own
            if path.endswith((".py", ".npy", ".npz", ".json", ".csv", ".onnx", ".keras", ".html"))
            and not any(path == item or path.startswith(f"{item}/") for item in listed)
            and not path.endswith("__init__.py")
        }
        assert not strange, stage


def test_the_run_ends_with_a_decision_and_a_version(run):
    decision = json.loads((run.clone / "models/decision.json").read_text())
    registration = json.loads((run.clone / "models/registration.json").read_text())
    assert decision["decision"] == "refuse"  # 600 images do not make a champion
    assert registration["version"] == "v0.0.1"
    assert _call(run.clone, "git", "tag").split() == ["digits#refused#1", "digits@v0.0.1"]


def test_every_hash_from_the_version_back_to_the_data_is_verified(run):
    said = _call(run.clone, sys.executable, "-m", "flows", "trace", "v0.0.1")
    assert "not here" not in said
    assert said.endswith(" verified, 0 wrong\n")
    links = {line.split()[1] for line in said.splitlines() if line.startswith("✓")}
    led = {name for name in _stages(run.clone) if name not in SIDE}
    said_by_the_tag = {"decision", "commit", "artifact", "data", "metrics", "parameters", "files"}
    assert links == {*led, *said_by_the_tag}


def test_an_answer_leads_back_to_the_version_and_is_given_again(run):
    answers = (run.clone / "reports/evaluate/answers.csv").read_text().splitlines()
    said = _call(run.clone, sys.executable, "-m", "flows", "trace", answers[8].split(",")[0])
    assert "✓ answer" in said
    assert "test image 7, labelled " in said


def test_the_history_names_the_refusal_and_no_champion(run):
    said = _call(run.clone, sys.executable, "-m", "flows", "history")
    assert said.startswith("digits has had no champion yet\n\nrefused as champion, newest first\n")


def test_the_registered_artifact_tells_members_and_classes_as_they_were_trained(run):
    served = serving.load(run.clone, "v0.0.1")
    images = np.load(run.clone / "data/preprocess/test_images.npy")
    members = served.members(images)
    fitted = json.loads((run.clone / "models/ensemble/calibration.json").read_text())
    assert served.classes == tuple("0123456789")
    assert members.shape == (300, len(fitted), 10)
    for said, member in zip(members.swapaxes(0, 1), fitted, strict=True):
        alone = predictions.load(run.clone / "models/train" / member["member"]).test
        scaled = calibration.scale(alone, member["temperature"])
        assert said == pytest.approx(scaled, abs=1e-5)
    assert members.mean(1) == pytest.approx(served.answer(images).probabilities, abs=1e-6)


def test_the_work_tree_and_branch_are_the_users_own(run):
    assert _call(run.clone, "git", "log", "--format=%s").split() == ["start"]


def test_repro_has_nothing_to_do_after_the_flow(run):
    said = _call(run.clone, "dvc", "repro")
    assert "Running stage" not in said
    assert "Data and pipelines are up to date." in said


def test_the_flow_has_nothing_to_do_after_itself(run):
    said = _call(run.clone, sys.executable, "-m", "flows", "train")
    assert " Ran " not in said
    assert said.count("Cached") >= len(_stages(run.clone))


def test_dvc_shows_the_scores_and_the_plots(run):
    assert "ensemble" in _call(run.clone, "dvc", "metrics", "show")
    plots = json.loads(_call(run.clone, "dvc", "plots", "show", "--json"))
    assert "errors" not in plots
    assert {Path(name).stem for name in plots["data"]} >= {"history", "ensemble", "svm"}


def test_the_readmes_commands_bring_data_models_and_versions_to_another_clone(run, tmp_path):
    here, hub, there = tmp_path / "here", tmp_path / "hub", tmp_path / "elsewhere/there"
    shutil.copytree(run.clone, here)
    _commit(here, "small values", "--all")
    _call(tmp_path, "git", "init", "--quiet", "--bare", str(hub))
    _call(here, "git", "remote", "add", "origin", str(hub))
    _call(here, "git", "push", "--quiet", "--set-upstream", "origin", "HEAD")
    commands = _readme("Share data and models", tmp_path / "store", hub, there)
    _call(here, "sh", "-ec", commands, **IDENTITY)
    hashes = _hashes(there)
    # These belong to a clone and its moment; the stages around them run again.
    own = {"models/decision.json", "models/registration.json"}
    assert {path for path in hashes if not (there / path).exists()} == own
    for path in (path for path in hashes if (there / path).is_file()):
        assert hashlib.md5((there / path).read_bytes()).hexdigest() == hashes[path], path
    assert _call(there, "git", "tag") == _call(run.clone, "git", "tag")
    said = _call(there, "dvc", "repro")
    assert {*re.findall("Running stage '([^']+)", said)} == {"gate", "register", "report"}


def _readme(heading: str, store: Path, hub: Path, there: Path) -> str:
    """Return the commands below a heading of the README, with these for its placeholders."""
    text = (ROOT / "README.md").read_text()
    section = text.partition(f"\n### {heading}\n")[2].partition("\n#")[0]
    commands = "\n".join(line for line in section.splitlines() if line.startswith("    "))
    for name, path in {"/a/folder/or/s3/bucket": store, "<this repository>": hub}.items():
        assert name in commands, section
        commands = commands.replace(name, str(path))
    return commands.replace(" there ", f" {there} ")


@pytest.mark.slow
def test_another_cold_run_by_plain_repro_leaves_the_same_bytes(run, tmp_path, pytestconfig):
    clone = tmp_path / "clone"
    _prepare(clone, pytestconfig)
    _call(clone, "dvc", "repro")
    ours, theirs = _hashes(run.clone), _hashes(clone)
    assert ours.keys() == theirs.keys()
    # Times, and what shows them; Evidently gives the parts of its pages random names.
    pages = r"reports/(index|drift|performance)\.html|reports/cards"
    of_its_own = rf"reports/timing/|models/(decision|registration)|{pages}"
    different = {path for path in ours if ours[path] != theirs[path]}
    assert not {path for path in different if not re.match(of_its_own, path)}
