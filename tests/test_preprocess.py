"""Stage preprocess: folds, classes, reviewed labels, and what it refuses."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import toy_data

from tasks import preprocess
from tasks.core.classes import DIGITS
from tasks.core.label_reviews import COLUMNS, fingerprints
from tasks.io import about, dataset, files
from tasks.io.stage import StageError

FOLDS = "20123112233233032131200122313133323020121120113320010102001303202013021213130200"
"""As they were dealt before there were reviews: trained members belong to them."""
PARAMS = "seed: 3\npreprocess: {folds: 4}\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(PARAMS)
    random = np.random.default_rng(0)
    folder = Path("data/ingest")
    files.write_array(folder / "train_images.npy", random.integers(0, 256, (80, 28, 28), np.uint8))
    files.write_array(folder / "train_labels.npy", np.arange(80, dtype=np.uint8) % 10)
    files.write_array(folder / "test_images.npy", random.integers(0, 256, (20, 28, 28), np.uint8))
    files.write_json(Path("reports/validate/report.json"), {"success": True})
    told(total=60_000)
    review()
    return tmp_path


def told(feedback: int = 0, total: int = 80, classes: tuple[str, ...] = DIGITS) -> None:
    """Tell of the data set, of whose ``total`` rows the run has 80."""
    counts = (total, *[0] * (len(classes) - 1))
    known = toy_data.told(80, 20, feedback, classes=classes, counts=counts)
    files.write_json(about.FILE, known._asdict())


def review(*lines: str) -> bytes:
    """Write the file of reviews with ``lines`` and return it."""
    content = "".join(f"{line}\n" for line in (",".join(COLUMNS), *lines)).encode()
    files.write_bytes(Path("data/label_reviews.csv"), content)
    return content


def line(row: int, decision: str) -> str:
    """Return a line on a row of the project's data, whose labels are the rows modulo 10."""
    images = np.load("data/ingest/train_images.npy")
    return f"{row},{fingerprints(images[[row]])[0]},{row % 10},{decision},A. Reader,2026-01-31,seen"


def output(name: str) -> np.ndarray:
    return np.load(Path("data/preprocess", f"{name}.npy"))


def test_images_and_labels_pass_through_byte_for_byte(project: Path) -> None:
    preprocess.main()
    for name in ("train_images", "train_labels", "test_images"):
        same = Path("data/preprocess", f"{name}.npy").read_bytes()
        assert same == (project / "data/ingest" / f"{name}.npy").read_bytes()


def test_each_image_is_held_out_by_one_fold_and_folds_share_the_classes(project: Path) -> None:
    preprocess.main()
    folds, labels = output("folds"), output("train_labels")
    assert folds.dtype == np.uint8
    assert folds.shape == (80,)
    for fold in range(4):
        assert np.bincount(labels[folds == fold]).tolist() == [2] * 10


def test_two_runs_write_the_same_bytes_and_another_seed_others(project: Path) -> None:
    preprocess.main()
    first = Path("data/preprocess/folds.npy").read_bytes()
    preprocess.main()
    assert Path("data/preprocess/folds.npy").read_bytes() == first
    Path("params.yaml").write_text(PARAMS.replace("seed: 3", "seed: 4"))
    preprocess.main()
    assert Path("data/preprocess/folds.npy").read_bytes() != first


def test_without_reviews_the_bytes_are_those_of_the_data_and_every_row_is_kept(
    project: Path,
) -> None:
    preprocess.main()
    assert output("rows").dtype == np.int32
    assert output("rows").tolist() == list(range(80))
    assert "".join(map(str, output("folds"))) == FOLDS
    assert output("train_labels").tolist() == [row % 10 for row in range(80)]


def test_an_excluded_row_is_left_out_and_moves_no_other_to_another_fold(project: Path) -> None:
    preprocess.main()
    images, folds = output("train_images"), output("folds")
    review(line(7, "exclude,"), line(40, "exclude,"))
    preprocess.main()
    kept = np.delete(np.arange(80), [7, 40])
    assert output("rows").tolist() == kept.tolist()
    assert output("train_labels").tolist() == (kept % 10).tolist()
    np.testing.assert_array_equal(output("train_images"), images[kept])
    np.testing.assert_array_equal(output("folds"), folds[kept])


def test_a_corrected_label_is_changed_and_nothing_else_is(project: Path) -> None:
    preprocess.main()
    before = {name: output(name) for name in ("train_images", "train_labels", "folds", "rows")}
    review(line(7, "correct,1"))
    preprocess.main()
    assert output("train_labels")[7] == 1
    assert output("train_labels").dtype == np.uint8
    before["train_labels"][7] = 1
    for name, array in before.items():
        np.testing.assert_array_equal(output(name), array)


def test_what_the_reviews_did_is_counted_and_said(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    far = f"80,{'0' * 16},3,exclude,,A. Reader,2026-01-31,seen"
    content = review(line(7, "exclude,"), line(8, "exclude,"), line(9, "correct,1"), far)
    preprocess.main()
    sha256 = hashlib.sha256(content).hexdigest()
    counts = {"exclude": 2, "correct": 1, "beyond": 1}
    assert files.read_json(Path("data/preprocess/reviews.json")) == {**counts, "sha256": sha256}
    assert capsys.readouterr().out.splitlines() == [
        "preprocessed 78 training images into 4 folds",
        "labels reviewed: 2 excluded, 1 corrected, 1 left out (beyond data.train_rows)",
    ]


def test_a_line_of_other_data_stops_the_stage_before_anything_is_written(project: Path) -> None:
    review(line(7, "exclude,").replace(",7,", ",5,"))
    with pytest.raises(StageError, match=r"line 2: expected label 5 in row 7, as reviewed; got 7"):
        preprocess.main()
    assert not Path("data/preprocess").exists()


def add(count: int) -> np.ndarray:
    """Put images from feedback behind the data set's own; return them."""
    more = np.random.default_rng(5).integers(0, 256, (count, 28, 28), np.uint8)
    for name, added in (("images", more), ("labels", np.full(count, 7, np.uint8))):
        path = Path("data/ingest", f"train_{name}.npy")
        files.write_array(path, np.concatenate([np.load(path)[:80], added]))
    told(feedback=count, total=60_000)
    return more


def test_feedback_moves_no_image_to_another_fold(project: Path) -> None:
    preprocess.main()
    before = output("folds")
    add(12)
    preprocess.main()
    first = output("folds")
    assert first[:80].tolist() == before.tolist()
    add(30)
    preprocess.main()
    assert output("folds")[:92].tolist() == first.tolist()
    assert {*output("folds")[80:].tolist()} == {0, 1, 2, 3}


def test_a_row_of_feedback_is_reviewed_by_its_number_behind_all_of_the_data_set(
    project: Path,
) -> None:
    image = fingerprints(add(5)[[2]])[0]
    preprocess.main()
    review(f"60002,{image},7,correct,1,A. Reader,2026-01-31,seen")
    preprocess.main()
    assert output("train_labels")[80:].tolist() == [7, 7, 1, 7, 7]
    review(f"60005,{image},7,correct,1,A. Reader,2026-01-31,seen")
    with pytest.raises(StageError, match=r"row must be a row .*, 0 to 60004; got 60005"):
        preprocess.main()


def test_classes_are_told_by_name_and_reviews_speak_of_them(project: Path) -> None:
    names = tuple("abcdefghij")
    told(classes=names)
    image = fingerprints(np.load("data/ingest/train_images.npy")[[7]])[0]
    review(f"7,{image},h,correct,b,A. Reader,2026-01-31,seen")
    preprocess.main()
    assert dataset.classes() == names
    assert output("train_labels")[7] == 1
    review(f"7,{image},7,correct,b,A. Reader,2026-01-31,seen")
    with pytest.raises(StageError) as caught:
        preprocess.main()
    assert str(caught.value) == (
        "data/label_reviews.csv, line 2: label must be the published label, a class of "
        "a, b, c, d, e, f, g, h, i, j; got '7'"
    )


def test_test_labels_are_not_needed(project: Path) -> None:
    assert not Path("data/ingest/test_labels.npy").exists()
    preprocess.main()
    assert not Path("data/preprocess/test_labels.npy").exists()


@pytest.mark.parametrize("report", [{"success": False}, {"success": "true"}, {}, []])
def test_data_that_did_not_pass_validation_is_refused(project: Path, report: object) -> None:
    files.write_json(Path("reports/validate/report.json"), report)
    with pytest.raises(StageError, match="expected success true; the data has not passed"):
        preprocess.main()
    assert not Path("data/preprocess").exists()


def test_a_missing_report_is_refused(project: Path) -> None:
    Path("reports/validate/report.json").unlink()
    with pytest.raises(StageError, match=r"report\.json is missing: an earlier stage writes it"):
        preprocess.main()


def test_more_folds_than_images_of_a_digit_are_refused(project: Path) -> None:
    Path("params.yaml").write_text(PARAMS.replace("folds: 4", "folds: 9"))
    with pytest.raises(StageError, match="got 9 folds and 8 of digit 0, 8 of digit 1"):
        preprocess.main()


def test_every_class_that_is_too_rare_is_named() -> None:
    labels = np.array([0, 0, 0, 1, 1, 1, 1, 2], np.uint8)
    with pytest.raises(StageError) as caught:
        preprocess.held_out_folds(labels, 4, 0, ("bag", "shirt", "shoe", "sock"))
    assert str(caught.value) == (
        "params.yaml: preprocess.folds must be at most the number of training images of each "
        "class; got 4 folds and 3 of class bag, 1 of class shoe, 0 of class sock. Lower it, raise "
        "data.train_rows, or leave such classes out of the data"
    )


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("train_labels", np.zeros(80, np.int64), r"expected uint8 \('any',\); got int64 \(80,\)"),
        ("train_images", np.zeros((79, 28, 28), np.uint8), r"expected uint8 \(80, 28, 28\)"),
        ("test_images", np.zeros((20, 784), np.uint8), r"got uint8 \(20, 784\)"),
    ],
)
def test_arrays_of_another_form_are_refused(
    project: Path, name: str, array: np.ndarray, message: str
) -> None:
    files.write_array(Path("data/ingest", f"{name}.npy"), array)
    with pytest.raises(StageError, match=message):
        preprocess.main()


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ("{folds: 1}", "preprocess.folds must be greater than or equal to 2; got 1"),
        ("{folds: 4.0}", "preprocess.folds must be a valid integer; got 4.0"),
        ("{}", "preprocess.folds is missing"),
        ("{folds: 4, size: 28}", "preprocess.size is not a known key"),
    ],
)
def test_wrong_parameters_are_named(project: Path, section: str, message: str) -> None:
    Path("params.yaml").write_text(f"seed: 3\npreprocess: {section}\n")
    with pytest.raises(StageError, match=f"params.yaml: {message}"):
        preprocess.main()
