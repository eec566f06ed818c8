"""Batches to try things with."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flows.__main__ import main
from tasks.core import photographs

ROWS = 30


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "data/preprocess"
    folder.mkdir(parents=True)
    images = np.zeros((ROWS, 28, 28), np.uint8)
    images[:, 8:20, 12:16] = np.arange(200, 200 + ROWS)[:, None, None]
    np.save(folder / "train_images.npy", images)
    np.save(folder / "test_images.npy", images)
    np.save(folder / "train_labels.npy", np.arange(ROWS, dtype=np.uint8) % 3)
    np.save(folder / "folds.npy", np.zeros(ROWS, np.uint8))
    (folder / "classes.json").write_text('["a", "b", "c"]')
    return tmp_path


def truth(path: Path) -> dict[str, str]:
    with path.open(newline="") as file:
        return {row["id"]: row["label"] for row in csv.DictReader(file)}


def shown(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture)


def test_digits_are_training_images_and_the_truth_names_each_as_monitoring_does(clone, capsys):
    arguments = ["example", "digits", "data/incoming/noon", "--images", "5", "--truth", "truth.csv"]
    assert main(arguments) == 0
    said = truth(clone / "truth.csv")
    assert list(said) == [f"noon/{number:04d}.png" for number in range(1, 6)]
    for name, label in said.items():
        shade = int(shown(clone / "data/incoming" / name).max())
        assert label == "abc"[(shade - 200) % 3]
    assert capsys.readouterr().out == (
        "data/incoming/noon: 5 pictures, digits; their labels: truth.csv\n"
    )


def test_photographs_are_coloured_pictures_of_their_own_sizes(clone):
    assert main(["example", "photographs", "photographs", "--images", "4"]) == 0
    sizes = {shown(path).shape for path in (clone / "photographs").glob("*.jpg")}
    assert len(sizes) == 4
    assert {channels for _, _, channels in sizes} == {3}
    assert min(min(size[:2]) for size in sizes) > 100


def test_a_photograph_shows_dark_ink_on_bright_paper():
    digit = np.zeros((28, 28), np.uint8)
    digit[6:22, 12:16] = 255
    picture = photographs.photograph(digit, np.random.default_rng(0))
    border = np.concatenate([picture[0], picture[-1]])
    assert border.mean() > 120
    assert picture.min() < 60


def test_the_same_draw_gives_the_same_pictures_and_another_seed_others(clone):
    for name, seed in (("one", "0"), ("same", "0"), ("other", "1")):
        assert main(["example", "noise", name, "--images", "3", "--seed", seed]) == 0
    one, same, other = (
        [path.read_bytes() for path in sorted((clone / name).iterdir())]
        for name in ("one", "same", "other")
    )
    assert one == same
    assert one != other


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("fog", "new"), "KIND must be one of photographs, digits, shift, "),
        (("digits", "data"), "data: expected a folder that is not there yet; it is"),
        (("digits", "new", "--images", "31"), "--images must be from 1 to 30, the training images"),
        (("digits", "new", "--images", "0"), "--images must be from 1 to 30, the training images"),
    ],
)
def test_what_cannot_be_made_is_refused_and_nothing_is_written(clone, capsys, arguments, message):
    assert main(["example", *arguments]) == 1
    assert f"error: {message}" in capsys.readouterr().err
    assert not (clone / "new").exists()
