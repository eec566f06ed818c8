"""The stages that make and judge models: their results on toy data, and their refusals."""

import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pytest
import toy_data
import toy_models as toy

from tasks import baseline, ensemble, evaluate, train
from tasks.core import abstention, export, training
from tasks.io import archives, models, predictions
from tasks.io.stage import StageError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    toy.build(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train.folds": []}, "params.yaml: train.folds must be a list of 1 or more; got []"),
        ({"train.folds": [-1]}, "train.folds.0 must be greater than or equal to 0; got -1"),
        (
            {"train.architectures": ["../x"]},
            "train.architectures.0 must be text like ^[a-z][a-z0-9_]*$; got '../x'",
        ),
        (
            {"train.seeds": [0, 1, 0]},
            "train.seeds must be a list that names each once, but 0 stands twice; got [0, 1, 0]",
        ),
        ({"train.fold": [0]}, "train.fold is not a known key; remove it or correct its name"),
        ({"train": None}, "train must be a valid dictionary or instance of Matrix; got None"),
    ],
)
def test_a_wrong_matrix_is_refused_by_file_and_key(tmp_path, monkeypatch, changes, message):
    monkeypatch.chdir(tmp_path)
    toy.build(tmp_path, **changes)
    with pytest.raises(StageError, match=r"^params\.yaml: ") as caught:
        models.members()
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kernels": [5, 3]}, "must be filters, kernels and pools of one length; got {"),
        ({"pools": [2, 2, 4]}, "must be kernels, pools and a border that leave a pixel of 28"),
        ({"kernels": [5, 0, 3]}, ".kernels.1 must be greater than or equal to 1; got 0"),
    ],
)
def test_a_network_that_cannot_be_built_is_refused_by_file_and_key(folder, changes, message):
    dotted = {f"train.networks.conv5.{key}": value for key, value in changes.items()}
    toy.build(folder, **dotted)
    with pytest.raises(StageError) as caught:
        train.train("conv5", 0, 0)
    assert str(caught.value).startswith("params.yaml: train.networks.conv5")
    assert message in str(caught.value)


def test_a_network_that_is_described_nowhere_is_refused(folder):
    with pytest.raises(StageError, match=r"train\.networks\.vgg is missing; expected a section"):
        train.train("vgg", 0, 0)


def test_a_fold_without_images_is_refused(folder):
    with pytest.raises(StageError, match=r"train\.folds names fold 7, but no image stands in it"):
        train.train("conv5", 7, 0)


def test_a_batch_that_no_fold_fills_is_refused(folder):
    toy.build(folder, **{"train.recipe.batch_size": 64})
    with pytest.raises(StageError, match=r"batch_size must be at most 60, .* fold 0; got 64"):
        train.train("conv5", 0, 0)


def test_no_two_members_draw_alike():
    seeds = {
        train._seed(run, "conv5", fold, member)
        for run in range(3)
        for fold in range(3)
        for member in range(3)
    }
    assert len(seeds) == 27


@pytest.mark.parametrize("algorithm", ["logistic_regression", "decision_tree", "svm"])
def test_a_fitted_algorithm_answers_its_test_images_and_is_kept_as_onnx(folder, algorithm):
    toy.build(folder, **{"baseline.svm.components": 20})
    baseline.fit(algorithm)
    found = predictions.load(models.BASELINE / algorithm)
    assert (found.test.argmax(1) == toy.TEST_LABELS).mean() > 0.9
    assert found.validation_rows.tolist() == list(range(60))
    session = archives.load_onnx(models.BASELINE / algorithm / "model.onnx")
    again = archives.probabilities(session, toy.images(toy.TEST_LABELS))
    assert again == pytest.approx(found.test, abs=1e-6)
    assert again.sum(1) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    "algorithm", ["logistic_regression", "decision_tree", "random_forest", "svm"]
)
@pytest.mark.parametrize("classes", [("cat", "dog"), ("cat", "dog", "emu")])
def test_an_algorithm_tells_two_or_more_classes_apart(folder, algorithm, classes):
    small = {"baseline.svm.components": 20, "baseline.random_forest.trees": 40}
    _, labels = toy.build(folder, classes, **small)
    baseline.fit(algorithm)
    found = predictions.load(models.BASELINE / algorithm)
    assert found.test.shape == (100, len(classes))
    assert (found.test.argmax(1) == labels).mean() > 0.9
    assert found.test.sum(1) == pytest.approx(1, abs=1e-5)
    assert found.validation.shape[1] == len(classes)


def test_a_forest_is_scored_by_the_trees_that_did_not_see_the_image(folder):
    baseline.fit("random_forest")
    found = predictions.load(models.BASELINE / "random_forest")
    assert found.validation_rows.tolist() == list(range(120))
    assert (found.validation.max(1) < found.validation.max(1).max()).any()


def test_a_forest_that_grows_in_parts_is_the_forest_grown_at_once(capsys):
    pixels = baseline._pixels(toy.images(toy.TRAIN_LABELS), "[0,1]")
    settings = baseline.RandomForest(trees=23, features=9)
    parts = baseline._random_forest(settings)(seed=5)
    baseline._grow(parts, pixels, toy.TRAIN_LABELS)
    told = capsys.readouterr().out.splitlines()
    assert [line.split(" ")[0] for line in told][:2] == ["3/23", "5/23"]
    assert told[-1] == "23/23 trees  0 s left"
    whole = baseline._random_forest(settings)(seed=5)
    whole[-1].set_params(oob_score=True)
    whole.fit(pixels, toy.TRAIN_LABELS)
    assert np.array_equal(parts.predict_proba(pixels), whole.predict_proba(pixels))
    assert np.array_equal(parts[-1].oob_decision_function_, whole[-1].oob_decision_function_)


def test_a_baseline_fold_beyond_the_folds_is_refused(folder):
    toy.build(folder, **{"baseline.fold": 2})
    with pytest.raises(StageError, match=r"baseline\.fold must be below preprocess\.folds; got 2"):
        baseline.fit("svm")


def test_an_rnn_batch_that_is_too_large_is_refused_before_anything_is_loaded(folder):
    with pytest.raises(StageError, match=r"baseline\.rnn\.batch_size must be at most 60, .* 128"):
        baseline.fit("rnn")


@pytest.mark.parametrize("scaling", ["[0,1]", "[-1,1]"])
def test_an_exported_svm_answers_as_scikit_learn_does(scaling):
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import SVC

    from tasks.core import calibration

    pixels = baseline._pixels(toy.images(toy.TRAIN_LABELS), scaling)
    pipeline = make_pipeline(SVC(C=10.0, gamma=0.02)).fit(pixels, toy.TRAIN_LABELS)
    session = archives.load_onnx(export.sklearn_graph(pipeline, scaling, temperature=0.5))
    said = archives.probabilities(session, toy.images(toy.TEST_LABELS))
    scores = pipeline.decision_function(baseline._pixels(toy.images(toy.TEST_LABELS), scaling))
    assert said == pytest.approx(calibration.softmax(scores / 0.5), abs=1e-4)


@pytest.mark.parametrize("scaling", ["[0,1]", "[-1,1]"])
@pytest.mark.parametrize(
    "settings",
    [
        {"max_depth": 4},  # leaves of several classes
        {"max_depth": None},
    ],
)
@pytest.mark.parametrize("classes", [2, 10])
def test_exported_trees_answer_as_scikit_learn_does(scaling, settings, classes):
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.tree import DecisionTreeClassifier

    noise = np.random.default_rng(0).integers(0, 256, (300, 28, 28), np.uint8)
    pixels = baseline._pixels(noise, scaling)
    for classifier in (DecisionTreeClassifier, RandomForestClassifier):
        labels = np.arange(300) % classes
        pipeline = make_pipeline(classifier(random_state=0, **settings)).fit(pixels, labels)
        session = archives.load_onnx(export.sklearn_graph(pipeline, scaling, temperature=None))
        asked = noise // 2
        said = archives.probabilities(session, asked)
        expected = pipeline.predict_proba(baseline._pixels(asked, scaling))
        assert said == pytest.approx(expected, abs=1e-6)


def test_a_pixel_on_a_trees_threshold_goes_the_way_that_scikit_learn_sends_it():
    between = np.array([0.1, np.float32(0.1), 0.3, np.float32(0.3)], np.float64)
    rounded = export._rounded_down(between)
    assert rounded.dtype == np.float32
    for value in np.concatenate([rounded, np.nextafter(rounded, 1), np.nextafter(rounded, 0)]):
        assert (value <= rounded).tolist() == (value <= between).tolist()


@pytest.mark.usefixtures("one_core")
def test_the_learning_rate_goes_up_to_the_peak_and_down_to_nothing():
    schedule = training.Schedule(1, 8, 0.1, 0.25, 0.0, 0.0, 0.9)
    rate = training._one_cycle(schedule, steps=8)
    found = [float(rate(step)) for step in range(9)]
    expected = [0.05, 0.1, 0.1, 0.5 / 6, 0.4 / 6, 0.05, 0.2 / 6, 0.1 / 6, 0]
    assert found == pytest.approx(expected)


def test_an_image_that_two_members_did_not_see_gets_their_mean():
    rows, mean = ensemble._mean_by_row(
        [np.array([3, 1]), np.array([1])],
        [np.array([[1.0, 0], [0.5, 0.5]]), np.array([[0.1, 0.9]])],
    )
    assert rows.tolist() == [1, 3]
    assert mean == pytest.approx(np.array([[0.3, 0.7], [1, 0]]))


def test_a_temperature_that_does_not_help_is_left_out(folder):
    perfect = predictions.Predictions(
        np.arange(2), np.eye(10)[:2], np.arange(2), np.eye(10)[:2], np.eye(10)[:2]
    )
    found = ensemble._temperature("a", perfect, toy.TRAIN_LABELS, calibrate=True)
    assert (found.temperature, found.log_loss_after) == (1.0, 0.0)


def test_a_doubtful_member_is_sharpened(folder):
    toy.write_predictions(folder / "a", wrong=0)
    part = predictions.load(folder / "a")
    found = ensemble._temperature("a", part, toy.TRAIN_LABELS, calibrate=True)
    assert found.temperature < 0.5
    assert found.log_loss_after < found.log_loss_before


def test_a_missing_members_predictions_are_named(folder):
    with pytest.raises(StageError, match=r"conv5-0-0/predictions\.npz is missing: run `dvc repro`"):
        ensemble.main()


def test_every_model_is_scored_and_the_best_by_held_out_images_wins(folder):
    toy.write_all_predictions(folder)
    evaluate.main()
    board = json.loads(Path("reports/evaluate/leaderboard.json").read_text())
    scores = json.loads(Path("reports/evaluate/metrics/ensemble.json").read_text())
    assert [row["model"] for row in board] == [model.name for model in models.every()]
    assert [row["test_accuracy"] for row in board] == pytest.approx([1 - n / 100 for n in range(9)])
    assert [row["model"] for row in board if row["winner"]] == ["ensemble"]
    assert (scores["accuracy"], scores["worst_class_recall"]) == (1.0, 1.0)
    for kind in ("metrics", "confusion", "reliability", "classes"):
        found = {path.stem for path in Path("reports/evaluate", kind).iterdir()}
        assert found == {model.name for model in models.every()}
    classes = Path("reports/evaluate/classes/svm.csv").read_text().splitlines()
    assert classes[0] == "class,precision,recall,f1,support"
    assert len(classes) == 11


def test_scores_and_answers_speak_of_classes_by_name(folder):
    toy.build(folder, "abcdefghij")
    toy.write_all_predictions(folder)
    evaluate.main()
    tables = {
        path: Path("reports/evaluate", path).read_text().splitlines()
        for path in ("classes/svm.csv", "confusion/conv5-0-0.csv", "answers.csv")
    }
    assert [line[0] for line in tables["classes/svm.csv"]] == ["c", *"abcdefghij"]
    assert tables["confusion/conv5-0-0.csv"][:3] == ["actual,predicted", "a,b", "b,b"]
    assert tables["answers.csv"][2].split(",")[2:4] == ["b", "b"]
    summary = json.loads(Path("reports/evaluate/models.json").read_text())["ensemble"]
    assert summary["classes"] == list("abcdefghij")


@pytest.mark.parametrize(("is_mnist", "disputed"), [(True, 1), (False, 0)])
def test_labels_are_disputed_where_the_images_are_mnists(folder, is_mnist, disputed, monkeypatch):
    monkeypatch.setattr(evaluate.disputed, "LABELS", {3: 3})
    toy.write_all_predictions(folder)
    toy_data.write(folder, toy_data.told(is_mnist=is_mnist))
    evaluate.main()
    said = json.loads(Path("reports/evaluate/abstention.json").read_text())
    assert said["test"]["disputed"] == disputed


def test_the_winner_is_chosen_by_held_out_images_even_where_the_test_says_otherwise(folder):
    toy.write_all_predictions(folder)
    found = predictions.load(models.BASELINE / "svm")
    lucky = found._replace(test=toy.sure(toy.TEST_LABELS))
    predictions.save(models.BASELINE / "svm", lucky)
    worse = predictions.load(models.ENSEMBLE)
    predictions.save(models.ENSEMBLE, worse._replace(test=toy.sure(toy.TEST_LABELS, wrong=20)))
    evaluate.main()
    board = json.loads(Path("reports/evaluate/leaderboard.json").read_text())
    assert board[0]["model"] == "svm"
    assert [row["model"] for row in board if row["winner"]] == ["ensemble"]


def test_every_test_image_is_answered_or_left_to_a_person(folder):
    toy.write_all_predictions(folder)
    found = predictions.load(models.ENSEMBLE)
    test = toy.sure(toy.TEST_LABELS, wrong=3)
    test[2:12] = 0.1  # ten images of which nothing is known; of the three errors two stay
    predictions.save(models.ENSEMBLE, found._replace(test=test))
    evaluate.main()
    said = json.loads(Path("reports/evaluate/abstention.json").read_text())
    assert said["chosen"] == {"threshold": 0.5}
    assert said["test"] == {
        "threshold": 0.5,
        "images": 100,
        "answered": 90,
        "errors": 2,
        "coverage": 0.9,
        "risk": 2 / 90,
        "disputed_errors": 0,
        "errors_to_a_person": 9,  # all but the zero among the ten
        "disputed": 0,
        "disputed_to_a_person": 0,
    }
    lines = Path("reports/evaluate/answers.csv").read_text().splitlines()
    artifact = hashlib.sha256(b"a model").hexdigest()[:12]
    assert lines[0] == "id,row,actual,predicted,confidence,status"
    assert re.fullmatch(rf"{artifact}-0,0,0,1,0\.91\d*,answered", lines[1])
    assert re.fullmatch(rf"{artifact}-2,2,2,0,0\.1\d*,to a person", lines[3])
    assert len(lines) == 101
    for part in ("test", "held_out"):
        points = Path(f"reports/evaluate/coverage/{part}.csv").read_text().splitlines()
        assert points[0] == "coverage,risk,threshold"
        assert points[-1].startswith("1.0,")


def test_test_labels_that_are_missing_are_named(folder):
    toy.write_all_predictions(folder)
    Path("data/ingest/test_labels.npy").unlink()
    with pytest.raises(StageError, match=r"test_labels\.npy is missing: an earlier stage writes"):
        evaluate.main()


def test_predictions_that_lack_an_array_are_refused(folder):
    toy.write_all_predictions(folder)
    np.savez(models.ENSEMBLE / "predictions.npz", test=np.zeros(3))
    with pytest.raises(StageError, match=r"ensemble/predictions\.npz: expected .*train_rows"):
        evaluate.main()


def test_a_model_that_can_keep_no_risk_says_that_it_answers_nothing():
    never = abstention.Outcome(abstention.NEVER, images=600, answered=0, errors=0)
    section = ensemble.Ensemble(
        calibrate=True, tolerance=1e-5, compared=10, components=2, max_risk=0.001, risk_level=0.95,
        known=5, reference=100,
    )  # fmt: skip
    assert ensemble._in_words(never, section) == (
        "answers nothing: on 600 held-out images no threshold keeps the risk at 0.001 "
        "(ensemble.max_risk); raise it, or train on more images"
    )
