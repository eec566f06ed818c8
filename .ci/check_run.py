"""Look at what a quick run left in this clone; run after ``make run PROFILE=quick``."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any


def read(path: str) -> Any:
    """Return the content of a JSON file."""
    return json.loads(Path(path).read_text())


def said(*command: str) -> str:
    """Return what a command of the environment prints."""
    program = Path(sys.executable).parent / command[0]
    line = [str(program) if program.exists() else command[0], *command[1:]]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def main() -> None:
    """Fail with the first thing that is not as it has to be."""
    board = read("reports/evaluate/leaderboard.json")
    scores = read("reports/evaluate/metrics/ensemble.json")
    names = {row["model"] for row in board}
    assert {"ensemble", "svm", "rnn", "notebook", "random_forest", "decision_tree"} <= names, names
    assert scores["accuracy"] > 0.98, scores
    assert read("reports/validate/report.json")["success"] is True
    assert scores["expected_calibration_error"] < 0.01, scores
    test = read("reports/evaluate/abstention.json")["test"]
    assert test["coverage"] > 0.7, test
    assert test["risk"] < 0.02, test
    decision = read("models/decision.json")
    if decision["champion"] is None:  # in a clone with tags an earlier model may be better
        assert decision["decision"] == "promote", decision["reasons"]
    version = read("models/registration.json")["version"]
    assert f"digits@{version}" in said("git", "tag").split()
    for page in ("index", "figures", "label_audit", "performance", "drift", f"cards/{version}"):
        assert Path(f"reports/{page}.html").stat().st_size > 5_000, page
    assert Path("reports/index.html").stat().st_size < 300_000
    assert "ensemble" in said("dvc", "metrics", "show")
    assert version in said("gto", "show")
    assert version in said("python", "-m", "flows", "show")
    assert version in said("python", "-m", "flows", "history")
    assert ", 0 wrong" in said("python", "-m", "flows", "trace", version)
    assert "up to date" in said("dvc", "repro"), "dvc repro has something to do after the flow"
    again = said("python", "-m", "flows", "train")
    assert "17 stages: 17 Cached" in again, again
    print(f"the run's outputs are as they have to be; {version}, {len(board)} models")


if __name__ == "__main__":
    main()
