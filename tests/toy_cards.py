"""Versions for model cards: small files of their commits, and a repository that holds them."""

import json
import subprocess
from pathlib import Path
from typing import Any

import toy_registry as toy

RATES = {
    "precision": [0.91] * 9 + [0.85],
    "recall": [0.92] * 9 + [0.75],
    "f1": [0.93] * 10,
    "support": [12.0] * 10,
}
CONFUSION = [[11 if i == j else int(j == (i + 1) % 10) for j in range(10)] for i in range(10)]
FIGURES = {
    "validation_accuracy": 0.91,
    "validation_images": 200,
    "accuracy": 0.9,
    "accuracy_low": 0.85,
    "accuracy_high": 0.95,
    "errors": 12,
    "macro_f1": 0.89,
    "log_loss": 0.3,
    "brier": 0.2,
    "expected_calibration_error": 0.01,
}
KINDS = {
    "shift": {"severities": [2, 3, 4], "unit": "pixels", "accuracy": [0.9, 0.8, 0.7]},
    "blur": {"severities": [0.8, 1.2, 2], "unit": "pixels", "accuracy": [0.8, 0.7, 0.6]},
    "noise": {"severities": [30, 60, 90], "unit": "grey levels", "accuracy": [0.9, 0.5, 0.2]},
    "fading": {"severities": [0.6, 0.4, 0.2], "unit": "of the ink", "accuracy": [1, 0.9, 0.5]},
}
REVIEWS = {"exclude": 1, "correct": 2, "beyond": 0, "sha256": "7" * 64}
DECISION = {
    "decision": "refuse",
    "reasons": ["accuracy is 0.9000, must be at least 0.99"],
    "rules": [
        {"rule": "accuracy, at least", "value": 0.9, "threshold": 0.99, "passed": False},
        {"rule": "log loss, at most", "value": 0.3, "threshold": 0.5, "passed": True},
    ],
    "images": 120,
    "level": 0.95,
    "champion": {"version": "v0.0.1", "fault": None, "reviews": REVIEWS | {"sha256": "8" * 64}},
    "challenger": {"reviews": REVIEWS},
    "comparison": {
        "word": "worse",
        "only_challenger": 1,
        "only_champion": 7,
        "p_value": 0.0703,
        "difference": -0.05,
        "low": -0.09,
        "high": -0.01,
    },
    "robustness": {
        "images": 50,
        "accuracy": 0.7,
        "champion": 0.8,
        "interval": {"difference": 0.01, "low": -0.02, "high": 0.04},
        "kinds": {kind: {**said, "champion": [0.95, 0.9, 0.55]} for kind, said in KINDS.items()},
    },
    "fitness": {"gap": 0.0, "load_seconds": 0.06, "milliseconds": 1.25, "size": 1234567},
}
OUTCOME = {"images": 120, "answered": 114, "errors": 2, "coverage": 0.95, "risk": 0.0175}
ABSTENTION = {
    "chosen": {"max_risk": 0.001, "level": 0.95, "threshold": 0.85, **OUTCOME},
    "test": {
        **OUTCOME,
        "disputed_errors": 1,
        "errors_to_a_person": 10,
        "disputed": 15,
        "disputed_to_a_person": 11,
    },
}
MEMBER = {"member": "conv5-0-0", "temperature": 0.54, "log_loss_before": 0.5, "log_loss_after": 0.4}
PARAMS = """\
data: {train_rows: 200}
preprocess: {folds: 2}
evaluate: {level: 0.95, bins: 15}
"""
FILES: dict[str, Any] = {
    "reports/evaluate/metrics/ensemble.json": FIGURES,
    "reports/evaluate/models.json": {"ensemble": {"per_class": RATES, "confusion": CONFUSION}},
    "reports/evaluate/abstention.json": ABSTENTION,
    "models/decision.json": DECISION,
    "models/ensemble/calibration.json": [MEMBER],
    "models/ensemble/known_batch.json": {"images": "", "probabilities": [[0.1] * 10] * 3},
    "data/preprocess/reviews.json": REVIEWS,
    "params.yaml": PARAMS,
}
RECORD = {
    "decision": "refuse",
    "reasons": DECISION["reasons"],
    "model": {"bytes": 1234567, "md5": "1" * 32, "sha256": "2" * 64},
    "provenance": {"seed": 0, "python": "3.11.7", "hardware": "2 cores", "git_head": "3" * 40},
    "hashes": {
        "data": {"data/ingest/test_images.npy": "4" * 32},
        "code": {"tasks": "5" * 40, "flows": None},
        "files": {"dvc.lock": "6" * 64},
    },
}


def build(folder: Path) -> None:
    """Make a repository without a version."""
    folder.mkdir(exist_ok=True)
    toy.run(folder, "git", "init", "-q", "-b", "main")


def release(
    folder: Path, version: str, files: dict[str, Any] = FILES, message: str | None = None
) -> None:
    """Tag a commit of these files alone as a version, with the record in the tag."""
    toy.run(folder, "git", "rm", "-rqf", "--cached", "--ignore-unmatch", ".")
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        toy.run(folder, "git", "add", "-f", name)
    who = ("-c", "user.name=Ann | *Author*", "-c", "user.email=ann@example.org")
    toy.run(folder, "git", *who, "commit", "-q", "--allow-empty", "-m", version)
    text = message or f"digits: a new version\n\nrefuse\n\n{json.dumps(RECORD, indent=2)}\n"
    tag = ["git", *who, "tag", "-a", f"digits@{version}", "-F", "-"]
    subprocess.run(tag, cwd=folder, env=toy.environment(), input=text, text=True, check=True)
