"""Register: record the ensemble as a version, and promote it if the gate said so.

A version is a GTO tag on a snapshot commit of the pipeline's files, so ``git show
digits@v0.0.1`` tells where the model comes from. ``models/registration.json`` is a record
of the event; the tags are the event. The same model is never registered twice.
"""

import hashlib
import json
import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

from tasks.io import files, git, known_batch, params, registry
from tasks.io.stage import StageError, run

DECISION = Path("models/decision.json")
MODEL = Path("models/ensemble/model.onnx")
METRICS = Path("reports/evaluate/metrics/ensemble.json")
OUT = Path("models/registration.json")

SNAPSHOT = (
    "flows",
    "tasks",
    "dvc.yaml",
    "dvc.lock",
    "params.yaml",
    "data/label_reviews.csv",
    "data/preprocess/reviews.json",
    "pyproject.toml",
    "requirements.lock",
    ".dvc/config",
    ".dvcignore",
    METRICS.as_posix(),
    DECISION.as_posix(),
    known_batch.FILE.as_posix(),
)
"""What a version's commit holds as it is on disk; everything else is as in HEAD."""

LIBRARIES = ("tensorflow", "keras", "onnxruntime", "scikit-learn", "numpy")

Register = registry.Place  # the section of this stage; the gate asks for the champion by it


def main() -> None:
    """Register the model, write the record and print what happened."""
    place = params.section(Register, "register")
    record = enrol(Path(), place, params.seed())
    files.write_json(OUT, record)
    name = f"{place.artifact} {record['version']}"
    print(f"registered {name}" if record["new"] else f"{name} holds this very model already")
    print(_outcome(record, place.stage))


def enrol(root: Path, place: registry.Place, seed: int) -> dict[str, Any]:
    """Register the model below ``root`` and return the content of registration.json.

    Raises
    ------
    StageError
        If the model is not the one that dvc.lock records and the gate judged, or git or the
        registry refuse.
    """
    decision = files.read_json(root / DECISION)
    model = _model(root)
    _check_judged(decision, model)
    message = f"{place.artifact}: the pipeline that made model {model['md5']}\n"
    commit = registry.snapshot(root, SNAPSHOT, message)
    _check_recorded(root, commit, place.artifact, model)
    details = {
        "decision": decision["decision"],
        "reasons": decision["reasons"],
        "metrics": _metrics(root / METRICS),
        "model": model,
        "provenance": _provenance(root, commit, seed),
    }
    return _enter(root, place, commit, details)


def _enter(
    root: Path, place: registry.Place, commit: str, details: dict[str, Any]
) -> dict[str, Any]:
    known = registry.find(root, place.artifact, details["model"]["md5"])
    version = known or registry.register(
        root, place.artifact, commit, _message(f"{place.artifact}: a new version", details)
    )
    tag = version.held.get(place.stage)
    if details["decision"] == "promote":
        title = f"{version.name} {version.version} becomes {place.stage}"
        tag = registry.promote(root, version, place.stage, _message(title, details))
    return {
        "artifact": version.name,
        "version": version.version,
        "stage": place.stage if tag else None,
        "commit": version.commit,
        "tag": version.tag,
        "stage_tag": tag,
        "new": known is None,
        **details,
    }


def _message(title: str, details: dict[str, Any]) -> str:
    """Return a tag's message: a title, why in words, then everything as JSON."""
    why = "; ".join(details["reasons"])
    return f"{title}\n\n{details['decision']}: {why}\n\n{json.dumps(details, indent=2)}\n"


def _outcome(record: dict[str, Any], stage: str) -> str:
    why = "; ".join(record["reasons"])
    if record["decision"] == "promote":
        return f"{stage} is {record['version']}: {why}"
    if record["stage"]:
        return f"refused; {record['version']} was {stage} before and stays it: {why}"
    return f"refused, not made {stage}: {why}"


def _model(root: Path) -> dict[str, Any]:
    try:
        content = (root / MODEL).read_bytes()
    except FileNotFoundError:
        raise StageError(f"{MODEL} is missing: the ensemble stage writes it") from None
    return {
        "path": MODEL.as_posix(),
        "md5": hashlib.md5(content, usedforsecurity=False).hexdigest(),
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
    }


def _check_judged(decision: Any, model: dict[str, Any]) -> None:
    judged = decision.get("challenger", {}).get("md5") if isinstance(decision, dict) else None
    if judged != model["md5"]:
        raise StageError(
            f"{DECISION}: expected a decision about {MODEL} (md5 {model['md5']}); "
            f"it is about {judged}. Run the gate stage again"
        )


def _check_recorded(root: Path, commit: str, name: str, model: dict[str, Any]) -> None:
    path, md5 = registry.recorded(root, commit, name)
    if (path, md5) != (model["path"], model["md5"]):
        raise StageError(
            f"dvc.lock: expected md5 {model['md5']} for {model['path']}, as the file has it; "
            f"got {md5} for {path}. The file was changed after its stage ran: run `dvc repro`"
        )


def _metrics(path: Path) -> dict[str, float]:
    content = files.read_json(path)
    return {key: value for key, value in content.items() if isinstance(value, int | float)}


def _provenance(root: Path, commit: str, seed: int) -> dict[str, Any]:
    return {
        "git_head": git.head(root),
        "dvc_lock_sha256": _sha256(root, commit, "dvc.lock"),
        "params_sha256": _sha256(root, commit, "params.yaml"),
        "seed": seed,
        "python": platform.python_version(),
        **{library: metadata.version(library) for library in LIBRARIES},
        "hardware": _hardware(),
    }


def _sha256(root: Path, commit: str, path: str) -> str:
    return hashlib.sha256(git.content(root, commit, path)).hexdigest()


def _hardware() -> str:
    """Return machine, cores and the processor's name where the system tells it."""
    parts = [platform.machine(), f"{os.cpu_count()} cores"]
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return ", ".join([*parts, *names[:1]])


if __name__ == "__main__":
    run(main)
