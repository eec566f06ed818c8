"""Batches in, judgements out: what is kept, in which order, and what survives a kill."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tasks.core import alert, shift_columns, shift_judgement, shift_reference, trend
from tasks.core.alert import Seen
from tasks.core.shift_judgement import Labelled, Limits
from tasks.core.shift_reference import Sample
from tasks.io import batches, monitoring
from tasks.io.stage import StageError

LIMITS = Limits(false_alarms=0.05, resamples=200, tolerance=0.03, labelled=0.9, level=0.95)
CLASSES = 3


def images(rng: np.random.Generator, count: int) -> np.ndarray:
    """Return bars of three widths, a class each, ``(n, 28, 28)`` uint8."""
    found = np.zeros((count, 28, 28), np.uint8)
    for row, image in enumerate(found):
        left = 10 + rng.integers(0, 3)
        image[4:24, left : left + 3 + 2 * (row % CLASSES)] = rng.integers(200, 256)
    return found


def probabilities(rng: np.random.Generator, labels: np.ndarray) -> np.ndarray:
    sure = rng.uniform(0.9, 1.0, len(labels))
    found = np.tile(((1 - sure) / (CLASSES - 1))[:, None], CLASSES)
    found[np.arange(len(labels)), labels] = sure
    return found.astype(np.float32)


def prepared(rng: np.random.Generator) -> shift_judgement.Prepared:
    count = 600
    labels = np.arange(count) % CLASSES
    said = probabilities(rng, labels)
    said[:6] = np.roll(said[:6], 1, axis=1)  # one in a hundred is wrong
    return shift_judgement.prepare(
        shift_reference.build(
            images(rng, count),
            rows=np.arange(count),
            folds=np.arange(count) % 2,
            labels=labels,
            probabilities=said,
            member_folds=np.array([0, 1]),
            size=count,
            rng=rng,
        )
    )


def judge(held: Any, pictures: np.ndarray, said: np.ndarray, labelled: Labelled) -> Any:
    sample = Sample(shift_columns.columns(pictures, held.reference.frame), said)
    rng = np.random.default_rng(1)
    return shift_judgement.judge(sample, held, LIMITS, rng, images=len(pictures), labelled=labelled)


def test_a_batch_as_ever_raises_no_alarm_and_says_so_in_one_line():
    rng = np.random.default_rng(0)
    held = prepared(rng)
    labels = np.arange(90) % CLASSES
    found = judge(held, images(rng, 90), probabilities(rng, labels), Labelled(0, 0))
    assert found.kinds == ()
    words = alert.words(Seen("b", 90, 0), found, [], LIMITS)
    assert words["what"].startswith("90 images, nothing has changed that would show; accuracy ")
    assert words["started"] == "nothing: no alarm"


def test_images_that_look_different_are_an_input_shift_and_the_alert_names_what_moved():
    rng = np.random.default_rng(0)
    held = prepared(rng)
    pale = (images(rng, 90) * 0.4).astype(np.uint8)
    found = judge(held, pale, probabilities(rng, np.arange(90) % CLASSES), Labelled(0, 0))
    assert found.kinds == (shift_judgement.INPUT,)
    names = held.reference.names.tolist()
    middles = np.zeros((2, len(names)))
    columns = alert.moved(found, names, middles)
    words = alert.words(Seen("b", 90, 2), found, columns, LIMITS)
    assert words["what"] == (
        "90 images, 2 unreadable: the images look different from those that the model was tested on"
    )
    assert columns[0].name in words["look"]
    assert words["started"] == ""


def test_other_classes_in_images_as_ever_are_a_label_shift():
    rng = np.random.default_rng(0)
    held = prepared(rng)
    many = images(rng, 270)[::CLASSES]  # of the first class alone
    found = judge(held, many, probabilities(rng, np.zeros(90, int)), Labelled(0, 0))
    assert found.kinds == (shift_judgement.LABELS,)


def test_labels_that_came_along_tell_a_loss_that_confidence_hides():
    rng = np.random.default_rng(0)
    held = prepared(rng)
    said = probabilities(rng, np.arange(90) % CLASSES)
    found = judge(held, images(rng, 90), said, Labelled(right=60, images=90))
    assert found.kinds == (shift_judgement.ACCURACY,)
    assert (
        "by the labels that came along" in alert.words(Seen("b", 90, 0), found, [], LIMITS)["cost"]
    )


def test_files_that_are_no_images_are_an_alarm_of_their_own():
    assert alert.kinds_of(Seen("b", 0, 3), None) == (shift_judgement.UNREADABLE,)
    assert alert.kinds_of(Seen("b", 3, 3), None) == ()
    words = alert.words(Seen("b", 0, 3), None, [], LIMITS)
    assert words["what"] == "0 images, 3 unreadable: most of the files cannot be read"


def arrive(root: Path, name: str, age: float) -> Path:
    folder = root / batches.FOLDER / name
    folder.mkdir(parents=True)
    (folder / "image.png").write_bytes(b"x")
    now = folder.stat().st_mtime
    for path in (folder / "image.png", folder):
        os.utime(path, (now - age, now - age))
    return folder


def test_batches_come_in_the_order_of_arrival_once_they_are_complete(tmp_path):
    for name, age in (("b", 300), ("a", 200), ("fresh", 1), (".hidden", 300), ("_part", 300)):
        arrive(tmp_path, name, age)
    assert [batch.name for batch in batches.complete(tmp_path, settle=30)] == ["b", "a"]


def test_since_takes_a_time_or_a_name_and_refuses_anything_else(tmp_path):
    for name, age in (("one", 3000), ("two", 2000), ("three", 1000)):
        arrive(tmp_path, name, age)
    there = batches.complete(tmp_path, 0)
    assert [batch.name for batch in batches.since(there, "two")] == ["two", "three"]
    moment = there[1].arrived.isoformat()
    assert [batch.name for batch in batches.since(there, moment)] == ["two", "three"]
    with pytest.raises(StageError, match=r"--since must be a time such as .*; got yesterday"):
        batches.since(there, "yesterday")


def test_a_batch_that_is_not_there_is_named(tmp_path):
    arrive(tmp_path, "one", 300)
    there = batches.complete(tmp_path, 0)
    with pytest.raises(StageError, match=r"expected batches named noon, .*; there is one"):
        batches.named(there, ["noon", "one"])


def test_a_changed_file_changes_the_batchs_digest(tmp_path):
    folder = arrive(tmp_path, "one", 300)
    before = batches.complete(tmp_path, 0)[0].digest
    (folder / "image.png").write_bytes(b"other")
    assert batches.complete(tmp_path, 0)[0].digest != before


def test_a_torn_line_of_history_is_passed_over_and_the_next_line_is_whole(tmp_path):
    monitoring.remember(tmp_path, {"batch": "one", "alarm": False})
    with (tmp_path / monitoring.HISTORY).open("a") as file:
        file.write('{"batch": "tw')
    monitoring.remember(tmp_path, {"batch": "three", "alarm": True})
    monitoring.remember(tmp_path, {"batch": "one", "alarm": True})
    assert monitoring.history(tmp_path) == [
        {"batch": "one", "alarm": True},
        {"batch": "three", "alarm": True},
    ]


def test_a_report_appears_whole_in_place_of_an_older_one(tmp_path):
    for text in ("old", "new"):
        (monitoring.workplace(tmp_path, "one") / "report.json").write_text(json.dumps(text))
        place = monitoring.publish(tmp_path, "one")
    assert monitoring.report(tmp_path, "one") == "new"
    assert [path.name for path in place.parent.iterdir()] == ["one"]


def test_pages_of_old_batches_go_and_their_lines_stay(tmp_path):
    for name in ("one", "two", "three"):
        monitoring.workplace(tmp_path, name)
        monitoring.publish(tmp_path, name)
        monitoring.remember(tmp_path, {"batch": name})
    assert monitoring.retain(tmp_path, keep=2) == ["one"]
    shutil.rmtree(tmp_path / monitoring.FOLDER / "two")  # by hand
    assert monitoring.retain(tmp_path, keep=1) == []
    assert [line["batch"] for line in monitoring.history(tmp_path)] == ["one", "two", "three"]


def test_the_trend_has_a_point_for_each_batch_whose_accuracy_is_known():
    accuracy = {"value": 0.95, "low": 0.9, "high": 0.97}
    lines = [
        {"batch": "one", "accuracy": accuracy, "usual": 0.99, "alarm": True},
        {"batch": "two", "accuracy": None, "usual": None, "alarm": True},
    ]
    (point,) = trend.points(lines).points
    assert point.text == "one: 95.00 %"
    assert point.high < point.y < point.low
    assert trend.points([]).usual is None
