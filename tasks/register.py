"""Register: record the ensemble as a version, and promote it if the gate said so.

A version is a GTO tag on a snapshot commit of the pipeline's files, so ``git show
digits@v0.0.1`` tells where the model comes from. ``models/registration.json`` is a record
of the event; the tags are the event. The same model is never registered twice, and a
version that somebody rolled back is champion again only by somebody's word.
"""

import hashlib
import os
import platform
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from tasks.io import commits, files, git, history, known_batch, params, registry
from tasks.io.stage import StageError, run

DECISION = Path("models/decision.json")
MODEL = Path("models/ensemble/model.onnx")
METRICS = Path("reports/evaluate/metrics/ensemble.json")
OUT = Path("models/registration.json")

HASHED = ("dvc.lock", "params.yaml", "requirements.lock", "data/label_reviews.csv")
"""Files whose SHA-256 a version's tag records, as far as its commit holds them."""

CODE = ("tasks", "flows")

SNAPSHOT = (
    *CODE,
    *HASHED,
    "data/source",
    "data/feedback",
    "dvc.yaml",
    "data/ingest/dataset.json",
    "data/preprocess/reviews.json",
    "pyproject.toml",
    ".dvc/config",
    ".dvcignore",
    METRICS.parent.as_posix(),
    DECISION.as_posix(),
    # What a model card tells and a rollback asks, years later, from the commit alone:
    known_batch.FILE.as_posix(),
    "models/ensemble/calibration.json",
    "models/ensemble/abstention.json",
    "reports/evaluate/models.json",
    "reports/evaluate/abstention.json",
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
        If the model is not the one that dvc.lock records and the gate judged, if another
        version became champion since it was judged, or if git or the registry refuse.
    """
    decision = files.read_json(root / DECISION)
    model = _model(root)
    _check_judged(decision, model)
    message = f"{place.artifact}: the pipeline that made model {model['md5']}\n"
    with registry.turn(root):
        commit = registry.snapshot(root, SNAPSHOT, message)
        _check_recorded(root, commit, place.artifact, model)
        details = {
            "decision": decision["decision"],
            "reasons": decision["reasons"],
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "metrics": _metrics(root / METRICS),
            "model": model,
            "provenance": provenance(seed) | {"git_head": git.head(root)},
            "hashes": _hashes(root, commit),
            "parameters": _parameters(root, commit),
        }
        known = registry.find(root, place.artifact, model["md5"])
        beside = (decision.get("champion") or {}).get("version")
        if known is None and decision["decision"] == "promote":
            _check_champion(root, place, beside)  # first: a version's tag is for ever
        version = known or _register(root, place.artifact, commit, details)
        tag, withheld = _settle(root, place, version, details, beside)
    return {
        "artifact": version.name,
        "version": version.version,
        "stage": place.stage if tag else None,
        "commit": version.commit,
        "tag": version.tag,
        "stage_tag": tag,
        "withheld": withheld,
        "new": known is None,
        **details,
    }


def _register(root: Path, name: str, commit: str, details: dict[str, Any]) -> registry.Version:
    why = f"{details['decision']}: {'; '.join(details['reasons'])}"
    text = registry.message(f"{name}: a new version", why, details)
    return registry.register(root, name, commit, text)


def _settle(
    root: Path,
    place: registry.Place,
    version: registry.Version,
    details: dict[str, Any],
    beside: str | None,
) -> tuple[str | None, str | None]:
    """Do what the gate decided; return the tag that the version has and why it was withheld."""
    held, reasons = version.held.get(place.stage), details["reasons"]
    if details["decision"] != "promote":
        history.refuse(root, place, version, reasons)
        return held, None
    if held:
        return held, None
    if left := history.left_by_rollback(history.events(root, place), version.version):
        return None, _withheld(version, left)
    _check_champion(root, place, beside)
    return history.note(root, place, version, "promotion", reasons), None


def _withheld(version: registry.Version, left: history.Event) -> str:
    return (
        f"{version.version} was rolled back on {left.time:%Y-%m-%d} by {left.by} "
        f"({'; '.join(left.reasons)}); it is promoted again by "
        f"`python -m flows promote {version.version}` alone"
    )


def _check_champion(root: Path, place: registry.Place, beside: str | None) -> None:
    now = registry.champion(root, place.artifact, place.stage)
    name = now.version if now else None
    if name != beside:
        raise StageError(
            f"{DECISION}: expected a decision beside the {place.stage} of now, {name}; it was "
            f"made beside {beside}. Judge again: dvc repro --force --single-item gate"
        )


def _outcome(record: dict[str, Any], stage: str) -> str:
    why = "; ".join(record["reasons"])
    if record["withheld"]:
        return f"not made {stage}: {record['withheld']}"
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


def _hashes(root: Path, commit: str) -> dict[str, Any]:
    """Return what pins this version: data by md5, code by git's trees, files by SHA-256."""
    ingest = commits.stages(root, commit).get("ingest", {})
    held = [path for path in HASHED if git.files(root, commit, path)]
    return {
        "data": {out["path"]: out["md5"] for out in ingest.get("outs", [])},
        "code": {folder: git.tree(root, commit, folder) for folder in CODE},
        "files": {path: _sha256(root, commit, path) for path in held},
    }


def _parameters(root: Path, commit: str) -> dict[str, Any]:
    """Return what stands in params.yaml; its profiles are no parameters of this run."""
    content = commits.yaml(root, commit, "params.yaml")
    return {key: value for key, value in content.items() if key != "profiles"}


def provenance(seed: int) -> dict[str, Any]:
    """Return the seed, and the environment of this process: libraries, Python, hardware."""
    return {
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
