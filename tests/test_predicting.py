"""``predict``: one line an image, for people and for machines."""

import json
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import toy_ensemble
import toy_registry as toy
from PIL import Image

from flows.__main__ import main
from tasks.io import serving

SLOW = "{'dvc', 'gto', 'pandas', 'tensorflow', 'prefect', 'onnx', 'pyarrow', 'scipy'}"


@pytest.fixture
def images(current: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Go to a repository with one version, and return a folder with three pictures."""
    monkeypatch.chdir(current)
    for name, digit in (("seven", 7), ("nought", 0)):
        Image.fromarray(toy_ensemble.digits(digit)[0]).save(tmp_path / f"{name}.png")
    (tmp_path / "bad.png").write_bytes(b"no picture")
    return tmp_path


def test_a_person_reads_digit_confidence_status_runner_up_and_version(images, capsys):
    said = serving.load().answer(toy_ensemble.digits(7)).probabilities[0]
    next_best = int(np.argsort(-said, kind="stable")[1])
    assert main(["predict", str(images / "seven.png")]) == 0
    assert capsys.readouterr().out == (
        f"{images}/seven.png: 7  {said[7]:.2%}  answered  "
        f"(next: {next_best}  {said[next_best]:.2%})  v0.0.1\n"
    )


def test_what_the_model_is_not_sure_of_goes_to_a_person(images, capsys):
    assert main(["predict", str(images / "nought.png")]) == 0
    assert ": nought  " in (line := capsys.readouterr().out)
    assert "  to a person  (next: " in line


def test_a_bad_image_is_told_and_the_others_are_answered(images, capsys):
    paths = [str(images / f"{name}.png") for name in ("bad", "seven")]
    assert main(["predict", *paths]) == 0
    bad, good = capsys.readouterr().out.splitlines()
    assert bad.startswith(f"{images}/bad.png: unreadable: ")
    assert good.startswith(f"{images}/seven.png: 7  ")


def test_where_no_image_can_be_read_the_status_is_1(images):
    assert main(["predict", str(images / "bad.png")]) == 1


def test_machines_get_a_line_of_json_an_image(images, capsys):
    paths = [str(images / f"{name}.png") for name in ("seven", "bad")]
    assert main(["predict", *paths, "--json"]) == 0
    good, bad = map(json.loads, capsys.readouterr().out.splitlines())
    said = serving.load().answer(toy_ensemble.digits(7)).probabilities[0]
    assert good["probabilities"] == {
        name: pytest.approx(float(value))
        for name, value in zip(("nought", *"123456789"), said, strict=True)
    }
    assert (good["prediction"], good["status"], good["model"]) == ("7", "answered", "v0.0.1")
    assert good["confidence"] == good["probabilities"]["7"]
    assert good["runner_up_probability"] == sorted(good["probabilities"].values())[-2]
    assert good["reason"] is None
    assert (bad["status"], bad["prediction"]) == ("unreadable", None)
    assert bad["reason"]


def test_every_row_of_a_file_with_many_is_answered(images, capsys):
    np.save(images / "rows.npy", toy_ensemble.digits(4, 5))
    assert main(["predict", str(images / "rows.npy")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines] == [
        f"{images}/rows.npy#0: 4",
        f"{images}/rows.npy#1: 5",
    ]


def test_an_image_that_is_not_there_is_an_error(images, capsys):
    assert main(["predict", str(images / "none.png")]) == 1
    assert "none.png" in capsys.readouterr().err


def test_an_older_version_predicts(versions, images, capsys):
    assert main(["predict", str(images / "seven.png"), "--version", "v0.0.1"]) == 0
    assert capsys.readouterr().out.endswith("  v0.0.1\n")


def test_no_slow_library_is_loaded_for_a_prediction(images):
    code = (
        "import sys; from flows.__main__ import main; main(['predict', sys.argv[1]]);"
        f"print({SLOW} & {{*sys.modules}})"
    )
    said = toy.run(Path(), sys.executable, "-c", code, str(images / "seven.png"))
    assert said.splitlines()[-1] == "set()"


def seconds(*command: str) -> float:
    """Return the shortest of three runs: what else the machine does only adds."""
    times = []
    for _ in range(3):
        start = time.perf_counter()
        toy.run(Path(), sys.executable, *command)
        times.append(time.perf_counter() - start)
    return min(times)


def test_the_first_answer_comes_soon_after_the_runtime_is_loaded(images):
    bare = seconds("-c", "import numpy, onnxruntime")
    assert seconds("-m", "flows", "predict", str(images / "seven.png")) < 4 * bare
