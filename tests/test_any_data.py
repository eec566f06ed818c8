"""Another data set than MNIST, by changing params.yaml alone: the whole graph by `dvc repro`."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import test_end_to_end as whole
from ruamel.yaml import YAML

NAMES = np.array(["three", "five", "eight"])
SMALL = {
    **whole.SMALL,
    "data.train_rows": None,
    "data.test_rows": None,
    "train.recipe.epochs": 4,
    "baseline.algorithms": ["svm", "decision_tree"],
    "report.sample": 60,
}

pytestmark = pytest.mark.slow  # a minute and a half


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Return scikit-learn's threes, fives and eights: 8x8, from 0 to 15, dark is high."""
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    images = np.minimum(pixels, 15).reshape(-1, 8, 8).astype(np.uint8)
    chosen = [label in (3, 5, 8) for label in labels]
    names = dict(zip((3, 5, 8), NAMES, strict=True))
    return images[chosen], np.array([names[label] for label in labels[chosen]])


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("any-data") / "clone"
    whole._copy(folder)
    images, labels = digits()
    order = np.argsort(labels, kind="stable")  # one class after the other
    np.savez(folder / "data/source/set.npz", images=images[order][:-20], labels=labels[order][:-20])
    np.savez(folder / "rest.npz", images=images[order][-20:])
    whole._shrink(folder / "params.yaml", "data/source/set.npz", SMALL)
    whole._call(folder, "dvc", "repro")
    return folder


def read(clone: Path, path: str) -> str:
    return (clone / path).read_text()


def test_every_stage_ran_and_the_gate_decided_with_reasons(clone):
    decision = json.loads(read(clone, "models/decision.json"))
    assert decision["decision"] in ("promote", "refuse")
    assert decision["reasons"]
    registered = json.loads(read(clone, "models/registration.json"))
    assert registered["version"] == "v0.0.1"
    stages = YAML(typ="safe").load(whole.ROOT / "dvc.yaml")["stages"]
    assert {name.partition("@")[0] for name in whole._stages(clone)} == set(stages)


def test_the_models_learnt_what_they_were_shown(clone):
    board = json.loads(read(clone, "reports/evaluate/leaderboard.json"))
    svm = next(row for row in board if row["model"] == "svm")
    assert svm["test_accuracy"] > 0.9


def test_the_pages_speak_of_these_classes(clone):
    told = json.loads(read(clone, "data/ingest/dataset.json"))
    assert told["classes"] == ["eight", "five", "three"]
    index = read(clone, "reports/index.html")
    assert "The ensemble by class" in index
    assert all(f'<th scope="row">{name}</th>' in index for name in NAMES)
    assert "set (<code>data/source/set.npz</code>)" in index
    card = read(clone, "reports/cards/v0.0.1.md")
    assert "To tell these classes apart: eight, five, three" in card
    assert "MNIST's training set" not in card


def test_every_hash_from_the_version_back_to_the_data_is_right(clone):
    said = whole._call(clone, sys.executable, "-m", "flows", "trace", "v0.0.1")
    assert said.rstrip().endswith("`dvc fetch --all-tags`")
    assert "not here: data/source\n" in said
    assert ", 0 wrong\n" in said


def test_a_correction_trains_the_next_model_and_reaches_another_clone(clone, tmp_path):
    here = Path(shutil.copytree(clone, tmp_path / "here"))
    (here / "data/incoming/monday").mkdir(parents=True)
    shutil.move(here / "rest.npz", here / "data/incoming/monday/rest.npz")
    lines = [f"monday/rest.npz#{row},three,A. Reader" for row in range(20)]
    (here / "corrections.csv").write_text("\n".join(["id,label,who", *lines]) + "\n")
    said = whole._call(here, sys.executable, "-m", "flows", "feedback", "corrections.csv")
    assert said.startswith("20 corrections taken as data/feedback/")
    why = whole._call(here, sys.executable, "-m", "flows", "explain")
    assert why.splitlines()[1].startswith("  ingest: data/feedback changed (")
    whole._call(here, "dvc", "repro", "preprocess")
    assert json.loads(read(here, "data/ingest/dataset.json"))["rows"]["feedback"] == 20
    last = read(here, "data/ingest/train_rows.csv").splitlines()[-1].split(",")
    assert last[1].startswith("feedback/")
    assert last[2:4] == ["monday/rest.npz#19", "A. Reader"]
    folds, before = (np.load(place / "data/preprocess/folds.npy") for place in (here, clone))
    assert folds[:-20].tolist() == before.tolist()
    _elsewhere(here, tmp_path)


def _elsewhere(here: Path, folder: Path) -> None:
    """See that a clone asks for the files of the corrections and has them after a pull."""
    whole._call(here, "dvc", "remote", "add", "--default", "store", str(folder / "store"))
    whole._call(here, "git", "add", ".")
    whole._commit(here, "corrections")
    whole._call(here, "dvc", "push")
    there = folder / "there"
    whole._call(folder, "git", "clone", "--quiet", str(here), str(there))
    assert len(list((there / "data/feedback").iterdir())) == 2  # a .dvc file and the README
    whole._call(there, "dvc", "pull")
    shutil.copy(here / "data/source/set.npz", there / "data/source/set.npz")
    assert "Running stage" not in whole._call(there, "dvc", "repro", "preprocess")
