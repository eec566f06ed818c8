"""A small repository with the pipeline's shape: real git and DVC, a model of one product."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import toy_data
from ruamel.yaml import YAML

from tasks import register
from tasks.io import archives, known_batch, registry
from tasks.io.known_batch import KnownBatch

PLACE = registry.Place(artifact="digits", stage="champion")
SOURCE = Path(__file__).resolve().parent.parent
FIGURES = {
    "accuracy": 1.0,
    "worst_class_recall": 1.0,
    "expected_calibration_error": 0.001,
    "log_loss": 0.01,
    "brier": 0.002,
}
PARAMS = """\
seed: 7
gate:
  min_accuracy: 0.9
  min_class_recall: 0.8
  max_calibration_error: 0.01
  max_log_loss: 0.1
  max_export_gap: 0.05
  max_answer_gap: 0.0001
  max_megabytes: 1
  max_milliseconds: 1000
  margin: 0.05
  corruption_margin: 0.5
  corrupted_images: 10
  level: 0.95
  resamples: 1000
register: {artifact: digits, stage: champion}
"""
STAGES = """\
artifacts:
  digits: {path: models/ensemble/model.onnx, type: model, desc: reads digits}
stages:
  ensemble:
    cmd: cp source.onnx models/ensemble/model.onnx
    deps: [source.onnx]
    outs: [models/ensemble/model.onnx]
"""
LATER_STAGES = """\
  gate:
    cmd: python -m tasks.gate
    deps: [models/ensemble/model.onnx, reports/evaluate/metrics/ensemble.json]
    params: [gate, register, seed]
    outs: [models/decision.json: {cache: false}]
  register:
    cmd: python -m tasks.register
    deps: [models/decision.json, models/ensemble/model.onnx]
    params: [register, seed]
    outs: [models/registration.json: {cache: false}]
"""


def model(worse: int = 0) -> bytes:
    """Return an ONNX model that reads the lit row of an image as its digit.

    Digits below ``worse`` are read as the digit nine.
    """
    from onnx import TensorProto, helper, numpy_helper

    weights = np.zeros((28, 28, 10), np.float32)
    for digit in range(10):
        weights[digit, :, 9 if digit < worse else digit] = 0.01
    nodes = [
        helper.make_node("Cast", ["images"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["float"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "toy",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["n", 28, 28])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", 10])],
        [numpy_helper.from_array(weights.reshape(784, 10), "weights")],
    )
    imports = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=imports, ir_version=8).SerializeToString()


def md5(content: bytes) -> str:
    """Return the hash by which DVC knows ``content``."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def environment(**more: str) -> dict[str, str]:
    """Return this process's environment, without its user's git and with the stages."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    own = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "DVC_NO_ANALYTICS": "1"}
    programs = f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"
    return kept | own | {"PATH": programs, "PYTHONPATH": str(SOURCE), **more}


def run(folder: Path, *command: str) -> str:
    """Return what ``command`` prints on both streams; it has to succeed."""
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout.strip()


def commit(folder: Path, message: str) -> str:
    """Commit everything as somebody and return the hash."""
    run(folder, "git", "add", "-A")
    who = ("-c", "user.name=Somebody", "-c", "user.email=some@body")
    run(folder, "git", *who, "commit", "-q", "--allow-empty", "-m", message)
    return run(folder, "git", "rev-parse", "HEAD")


def build(folder: Path) -> None:
    """Make the repository: one commit, DVC set up, ten images, a model that reads them."""
    folder.mkdir()
    run(folder, "git", "init", "-q", "-b", "main")
    run(folder, "dvc", "init", "-q")
    (folder / "params.yaml").write_text(PARAMS)
    (folder / "dvc.yaml").write_text(STAGES)
    (folder / "tasks").mkdir()
    (folder / "tasks" / "ensemble.py").write_text("first = 1\n")
    for name in ("models/ensemble", "reports/evaluate/metrics", "data/preprocess", "data/ingest"):
        (folder / name).mkdir(parents=True)
    (folder / "models/ensemble/.gitignore").write_text("/model.onnx\n/known_batch.json\n")
    write_figures(folder)
    write_images(folder)
    write_reviews(folder)
    (folder / ".gitignore").write_text("/data\n/source.onnx\n__pycache__/\n")
    put_model(folder, model())
    commit(folder, "the pipeline")


def write_figures(folder: Path, **changed: float) -> None:
    """Write evaluate's figures for the ensemble."""
    path = folder / "reports/evaluate/metrics/ensemble.json"
    path.write_text(json.dumps(FIGURES | changed))


def write_reviews(folder: Path, correct: int = 0) -> None:
    """Write what preprocess says of the reviewed labels."""
    reviews = {"exclude": 0, "correct": correct, "beyond": 0, "sha256": f"{correct:064d}"}
    (folder / "data/preprocess/reviews.json").write_text(json.dumps(reviews))


def write_known_batch(folder: Path, content: bytes) -> None:
    """Write what the model answers to its known batch; of what is no model, zeros."""
    images = np.load(folder / "data/preprocess/test_images.npy")[:5]
    try:
        probabilities = archives.probabilities(archives.load_onnx(content), images)
    except Exception:  # onnxruntime has a class for every status code
        probabilities = np.zeros((5, 10), np.float32)
    known_batch.save(folder / known_batch.FILE, KnownBatch(images, probabilities))


def write_images(folder: Path) -> None:
    """Write twenty images: the row of the digit is lit."""
    labels = np.arange(20, dtype=np.uint8) % 10
    images = np.zeros((20, 28, 28), np.uint8)
    images[np.arange(20), labels] = 255
    np.save(folder / "data/preprocess/test_images.npy", images)
    np.save(folder / "data/ingest/test_labels.npy", labels)
    toy_data.write(folder, toy_data.told(0, 20))


def put_model(folder: Path, content: bytes) -> str:
    """Leave what `dvc repro` would leave after it made this model; return its md5."""
    for path in ("source.onnx", "models/ensemble/model.onnx"):
        (folder / path).write_bytes(content)
    digest = md5(content)
    write_known_batch(folder, content)
    cached = cache_file(folder, digest)
    cached.parent.mkdir(parents=True, exist_ok=True)
    if not cached.exists():
        cached.write_bytes(content)
        cached.chmod(0o444)
    entry = {"hash": "md5", "md5": digest, "size": len(content)}
    stage = {
        "cmd": "cp source.onnx models/ensemble/model.onnx",
        "deps": [{"path": "source.onnx", **entry}],
        "outs": [{"path": "models/ensemble/model.onnx", **entry}],
    }
    with (folder / "dvc.lock").open("w") as file:
        YAML().dump({"schema": "2.0", "stages": {"ensemble": stage}}, file)
    return digest


def enrol(
    folder: Path, content: bytes, decision: str = "promote", reasons: tuple[str, ...] = ("as told",)
) -> dict[str, Any]:
    """Register a model that was judged so beside the champion of now; return the record."""
    judge(folder, put_model(folder, content), decision, reasons)
    return register.enrol(folder, PLACE, seed=7)


def judge(folder: Path, digest: str, decision: str, reasons: tuple[str, ...]) -> None:
    """Write what the gate would write beside the champion of now."""
    champion = registry.champion(folder, PLACE.artifact, PLACE.stage)
    judged = {
        "decision": decision,
        "reasons": reasons,
        "champion": {"version": champion.version} if champion else None,
        "challenger": {"md5": digest},
    }
    (folder / "models/decision.json").write_text(json.dumps(judged))


def cache_file(folder: Path, digest: str) -> Path:
    """Return where DVC's cache keeps the file of this md5."""
    return folder / ".dvc/cache/files/md5" / digest[:2] / digest[2:]


def state(folder: Path) -> tuple[str, str, str]:
    """Return all that belongs to the user: branches and HEAD, index, work tree's status."""
    status = ("git", "status", "--porcelain", "--untracked-files=all", "--ignored")
    # DVC's own scratch files are not the user's.
    kept = [line for line in run(folder, *status).splitlines() if "/.dvc/tmp" not in f"/{line[3:]}"]
    return (
        run(folder, "git", "show-ref", "--head", "--heads"),
        run(folder, "git", "ls-files", "-s"),
        "\n".join(kept),
    )


def copy(template: Path, folder: Path) -> Path:
    """Copy a repository."""
    return Path(shutil.copytree(template, folder, symlinks=True))
