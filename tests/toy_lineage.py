"""The toy repository with a whole pipeline behind its version; every stage copies a file."""

import hashlib
import shutil
from pathlib import Path

import toy_registry as toy

from tasks import register
from tasks.io import archives

STAGES = """\
artifacts:
  digits: {path: models/ensemble/model.onnx, type: model}
stages:
  ingest:
    cmd: cp given/labels.npy data/ingest/test_labels.npy
    params: [seed]
    deps: [given/labels.npy]
    outs: [data/ingest/test_labels.npy]
  preprocess:
    cmd: cp given/images.npy data/preprocess/test_images.npy
    deps: [given/images.npy, data/ingest/test_labels.npy]
    outs: [data/preprocess/test_images.npy]
  train:
    matrix: {member: [a, b]}
    cmd: mkdir -p models/train/${item.member} && date +%N > models/train/${item.member}/weights
    params: ["train.networks.${item.member}"]
    deps: [data/preprocess/test_images.npy, tasks]
    outs: ["models/train/${item.member}/weights"]
  baseline:
    cmd: mkdir -p models/baseline/svm && cp tasks/ensemble.py given/images.npy models/baseline/svm
    deps: [given, tasks/ensemble.py]
    outs: [models/baseline/svm]
  ensemble:
    cmd: cp given/model.onnx models/ensemble/model.onnx
    deps: [given/model.onnx, models/train]
    outs: [models/ensemble/model.onnx]
  evaluate:
    cmd: cp -r given/metrics reports/evaluate/ && cp given/answers.csv reports/evaluate/
    deps: [given/metrics, given/answers.csv, models/ensemble/model.onnx, models/baseline]
    outs: [reports/evaluate/answers.csv]
    metrics: [reports/evaluate/metrics: {cache: false}]
  gate:
    cmd: cp given/decision.json models/decision.json
    deps: [given/decision.json, reports/evaluate/metrics/ensemble.json]
    outs: [models/decision.json: {cache: false}]
  report:
    cmd: cp models/decision.json reports/index.html
    deps: [models/decision.json]
    outs: [reports/index.html]
"""
IGNORED = """\
/data
/models
/reports/*
!/reports/evaluate/
/reports/evaluate/*
!/reports/evaluate/metrics/
/source.onnx
"""


def build(folder: Path) -> None:
    """Make the repository, run its pipeline by DVC and register v0.0.1 as champion."""
    toy.build(folder)
    (folder / "dvc.yaml").write_text(STAGES)
    (folder / "dvc.lock").unlink()
    (folder / ".gitignore").write_text(IGNORED)
    toy.run(folder, "git", "rm", "-rq", "--cached", "models")
    with (folder / "params.yaml").open("a") as file:
        file.write("train: {networks: {a: {filters: [1, 2]}, b: {filters: [3]}}}\n")
    _give(folder)
    toy.commit(folder, "a whole pipeline")
    toy.run(folder, "dvc", "repro", "-q")
    register.enrol(folder, toy.PLACE, seed=7)


def prediction(row: int) -> str:
    """Return the id of the answer to a test image."""
    return f"{hashlib.sha256(toy.model()).hexdigest()[:12]}-{row}"


def _give(folder: Path) -> None:
    given = folder / "given"
    given.mkdir()
    images = folder / "data/preprocess/test_images.npy"
    shutil.copy(images, given / "images.npy")
    shutil.copy(folder / "data/ingest/test_labels.npy", given / "labels.npy")
    shutil.copytree(folder / "reports/evaluate/metrics", given / "metrics")
    (given / "model.onnx").write_bytes(toy.model())
    (given / "answers.csv").write_text(_answers(images))
    toy.judge(folder, toy.md5(toy.model()), "promote", ("as told",))
    shutil.move(folder / "models/decision.json", given / "decision.json")


def _answers(images: Path) -> str:
    import numpy as np

    found = archives.probabilities(archives.load_onnx(toy.model()), np.load(images))
    rows = [
        f"{prediction(row)},{row},{row % 10},{answer.argmax()},{answer.max():.6f},answered"
        for row, answer in enumerate(found)
    ]
    return "\n".join(["id,row,actual,predicted,confidence,status", *rows]) + "\n"
