"""Stage label_audit: wrong labels come first, on real digits, and nothing is changed by it."""

import csv
import json
import os
import re
import subprocess
import sys
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import planted_labels
import pytest
import real_mnist
import toy_data
import toy_models as toy
from ruamel.yaml import YAML

from tasks import label_audit, preprocess
from tasks.core import label_noise
from tasks.core.label_reviews import COLUMNS
from tasks.io import files, models, predictions
from tasks.io.predictions import Predictions
from tasks.io.stage import StageError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    toy.build(tmp_path, **{"label_audit.listed": 0.1, "label_audit.shown": 5})
    answer(toy.sure(toy.TRAIN_LABELS, wrong=3))
    return tmp_path


def answer(validation: np.ndarray, rows: np.ndarray | None = None) -> None:
    """Write what the ensemble says of the images that its members did not see."""
    rows = np.arange(len(validation)) if rows is None else rows
    nothing = np.empty(0)
    predictions.save(models.ENSEMBLE, Predictions(nothing, nothing, rows, validation, nothing))


def suspects() -> list[dict[str, str]]:
    with Path("reports/label_audit/suspects.csv").open() as file:
        return list(csv.DictReader(file))


def summary() -> Any:
    return json.loads(Path("reports/label_audit/summary.json").read_text())


def test_the_table_is_ranked_and_says_what_is_known_of_each_label(folder: Path) -> None:
    probabilities = toy.sure(toy.TRAIN_LABELS)
    probabilities[30] = np.eye(10)[7] * 0.97 + 0.003  # labelled 0
    probabilities[41] = np.eye(10)[1] * 0.3 + np.eye(10)[7] * 0.45 + 0.025
    answer(probabilities)
    label_audit.main()
    first, second, third = suspects()[:3]
    image = first.pop("image")
    assert re.fullmatch("[0-9a-f]{16}", image)
    assert first == {
        "rank": "1", "row": "30", "label": "0", "published": "0", "suggested": "7",
        "self_confidence": "0.003", "suggested_probability": "0.973", "kind": "likely wrong",
    }  # fmt: skip
    assert (second["row"], second["suggested"], second["kind"]) == ("41", "7", "ambiguous")
    assert third["kind"] == "fine"
    assert len(suspects()) == 12


def test_the_sum_counts_what_was_found(folder: Path) -> None:
    label_audit.main()
    reviews = {"exclude": 0, "correct": 0, "beyond": 0, "sha256": "0" * 64}
    assert summary() == {
        "judged": 120, "unjudged": 0, "listed": 12, "likely_wrong": 3, "ambiguous": 0,
        "noise_estimate": 3 / 120, "accuracy_as_published": 117 / 120,
        "accuracy_as_reviewed": 117 / 120, "reviews": reviews,
    }  # fmt: skip


def test_the_same_answers_give_the_same_bytes(folder: Path) -> None:
    written = []
    for _ in range(2):
        label_audit.main()
        written.append([path.read_bytes() for path in sorted(Path("reports").rglob("*.*"))])
    assert len(written[0]) == 3
    assert written[0] == written[1]


def test_images_that_no_member_was_held_out_from_are_counted_and_not_judged(folder: Path) -> None:
    rows = np.arange(60, 120)
    answer(toy.sure(toy.TRAIN_LABELS[rows], wrong=1), rows)
    label_audit.main()
    assert (summary()["judged"], summary()["unjudged"], summary()["listed"]) == (60, 60, 6)
    assert suspects()[0]["row"] == "60"


def test_rows_are_those_of_the_published_set_where_some_were_excluded(folder: Path) -> None:
    rows = np.arange(1, 121, dtype=np.int32)
    files.write_array(Path("data/preprocess/rows.npy"), rows)
    files.write_array(
        Path("data/ingest/train_labels.npy"), np.append(9, toy.TRAIN_LABELS).astype("u1")
    )
    label_audit.main()
    assert [suspect["row"] for suspect in suspects()[:3]] == ["1", "2", "3"]
    assert summary()["accuracy_as_published"] == 117 / 120


def test_corrected_labels_show_in_the_accuracy_and_are_not_proposed_again(folder: Path) -> None:
    published = toy.TRAIN_LABELS.copy()
    published[0] = 5  # corrected to 0, which the members doubt, too
    files.write_array(Path("data/ingest/train_labels.npy"), published)
    answer(toy.sure(np.where(np.arange(120) == 0, 3, toy.TRAIN_LABELS).astype(np.uint8)))
    label_audit.main()
    assert suspects()[0]["published"] == "5"
    assert suspects()[0]["label"] == "0"
    page = Path("reports/label_audit.html").read_text()
    assert "Corrected from 5 by a review" in page
    answer(toy.sure(toy.TRAIN_LABELS))
    label_audit.main()
    assert summary()["accuracy_as_published"] == 119 / 120
    assert summary()["accuracy_as_reviewed"] == 1


def test_the_page_shows_as_many_images_as_asked_for_and_tells_each_in_words(folder: Path) -> None:
    label_audit.main()
    page = Path("reports/label_audit.html").read_text()
    pictures = re.findall(r'<img class="digit"[^>]*src="data:image/png[^>]*alt="([^"]*)"', page)
    assert len(pictures) == 5
    assert pictures[0] == "Training image 0: labelled 0, perhaps a 1"
    assert "default-src 'none'" in page
    assert not re.search(r'(?:src|href)="(?:https?:)?//', page)
    assert 'href="label_audit.html" aria-current="page"' in page
    assert "Written by the stage <code>label_audit</code>" in page


def test_a_link_of_the_page_leads_to_an_output_of_the_pipeline(folder: Path) -> None:
    label_audit.main()
    page = Path("reports/label_audit.html").read_text()
    stages = YAML(typ="safe").load(toy.ROOT / "dvc.yaml")["stages"].values()
    outputs = {out for stage in stages for out in stage.get("outs", []) if isinstance(out, str)}
    links = {f"reports/{link}" for link in re.findall('href="([^"]*)"', page)}
    assert len(links) > 5
    within = {link for link in links for out in outputs if Path(link).is_relative_to(out)}
    assert links == within  # an output is a file, or a folder of them


def test_a_line_of_the_page_can_be_signed_and_is_then_applied(folder: Path) -> None:
    """The way of a correction: audit, page, file of reviews, preprocess, audit."""
    _ingest()
    label_audit.main()
    page = Path("reports/label_audit.html").read_text()
    (line,) = re.findall(r"<code>(0,[^<]*)</code>", page)
    signed = unescape(line).removesuffix(",,") + "A. Reader,2026-01-31,seen"
    files.write_bytes(Path("data/label_reviews.csv"), f"{','.join(COLUMNS)}\n{signed}\n".encode())
    preprocess.main()
    assert np.load("data/preprocess/train_labels.npy")[0] == 1
    label_audit.main()
    assert summary()["reviews"]["correct"] == 1
    assert summary()["accuracy_as_reviewed"] == 118 / 120
    assert summary()["likely_wrong"] == 2


def _ingest() -> None:
    """Leave what the stages before preprocess leave, of the same images."""
    for name, labels in (("train", toy.TRAIN_LABELS), ("test", toy.TEST_LABELS)):
        files.write_array(Path(f"data/ingest/{name}_images.npy"), toy.images(labels))
    files.write_json(Path("reports/validate/report.json"), {"success": True})


def test_the_audit_speaks_of_classes_by_name_and_numbers_feedback_behind_all_rows(
    folder: Path,
) -> None:
    classes = ["a, <b>", *"bcdefghij"]
    told = toy_data.told(100, 100, 20, classes=classes, counts=[50] * 10)
    toy_data.write(folder, told)
    probabilities = toy.sure(toy.TRAIN_LABELS)
    probabilities[110] = np.eye(10)[3] * 0.97 + 0.003  # labelled 0, the eleventh of feedback
    answer(probabilities)
    label_audit.main()
    first = suspects()[0]
    named = (first["label"], first["published"], first["suggested"])
    assert (first["row"], *named) == ("510", "a, <b>", "a, <b>", "d")
    page = Path("reports/label_audit.html").read_text()
    line = f'510,{first["image"]},"a, <b>",correct,d,,,'
    assert line in unescape(page)
    assert "<b>" not in page.partition("<main>")[2]
    assert '12345,0123456789abcdef,"a, <b>",correct,b,A. Reader' in unescape(page)


def test_predictions_that_are_missing_are_named(folder: Path) -> None:
    (models.ENSEMBLE / "predictions.npz").unlink()
    with pytest.raises(StageError, match=r"predictions\.npz is missing: run `dvc repro`"):
        label_audit.main()


def test_right_labels_are_not_called_wrong() -> None:
    probabilities = toy.sure(toy.TRAIN_LABELS)
    assert not label_noise.doubts(toy.TRAIN_LABELS, probabilities).wrong.any()
    assert label_noise.noise(toy.TRAIN_LABELS, probabilities) == 0


def test_planted_labels_come_first_in_scikit_learns_digits() -> None:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.svm import SVC

    from tasks.core import calibration

    pixels, labels = load_digits(return_X_y=True)
    planted = planted_labels.plant(labels, seed=0)
    folds = StratifiedKFold(10, shuffle=True, random_state=0)
    scores = cross_val_predict(
        SVC(C=10, gamma=0.001), pixels, planted, method="decision_function", cv=folds
    )
    ranking = label_noise.doubts(planted, calibration.softmax(2 * scores)).order
    found = planted_labels.score((planted != labels)[ranking])
    assert min(found) >= 0.95


def test_a_planted_label_that_the_table_lacks_counts_as_the_last(folder: Path) -> None:
    labels = toy.TRAIN_LABELS.copy()
    labels[[0, 50]] = 9, 9  # the members doubt row 0 alone
    files.write_array(Path("data/ingest/train_labels.npy"), labels)
    reviews = {"exclude": 0, "correct": 2, "beyond": 0, "sha256": "0" * 64}
    files.write_json(Path("data/preprocess/reviews.json"), reviews)
    label_audit.main()
    assert planted_labels.measure() == pytest.approx((0.5, (1 + 2 / 120) / 2))


@pytest.mark.slow  # three networks on real images: a minute
def test_planted_labels_come_first_in_mnist(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config
) -> None:
    monkeypatch.chdir(tmp_path)
    small = {
        "preprocess.folds": 3,
        "train.folds": [0, 1, 2],
        "train.recipe.epochs": 4,
        "label_audit.listed": 1.0,
    }
    toy.build(tmp_path, **small)
    with np.load(real_mnist.path(pytestconfig)) as mnist:
        images, labels = mnist["x_train"][:10_000], mnist["y_train"][:10_000]
        files.write_array(Path("data/ingest/test_images.npy"), mnist["x_test"][:1000])
    files.write_array(Path("data/ingest/train_images.npy"), images)
    files.write_array(Path("data/ingest/train_labels.npy"), labels)
    files.write_json(Path("reports/validate/report.json"), {"success": True})
    toy_data.write(tmp_path, toy_data.told(10_000, 1000, is_mnist=True))
    planted_labels.write_reviews(images, labels, seed=0)
    _stage("preprocess")
    for fold in range(3):
        _stage("train", "--architecture=conv5", f"--fold={fold}", "--seed=0")
    _stage("ensemble")
    _stage("label_audit")
    found = planted_labels.measure()
    print(found)
    assert min(found) >= 0.95


def _stage(name: str, *arguments: str) -> None:
    command = [sys.executable, "-m", f"tasks.{name}", *arguments]
    here = os.environ | {"PYTHONPATH": str(toy.ROOT)}
    done = subprocess.run(command, env=here, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
