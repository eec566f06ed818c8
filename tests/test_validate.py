"""Stage validate: good data passes, and each planted fault is seen, counted and shown."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import toy_data

from tasks import validate
from tasks.core.expectations import Rule, check
from tasks.core.image_features import NAMES
from tasks.core.normalize import normalize
from tasks.core.splits import Splits
from tasks.io import files, params
from tasks.io.about import About
from tasks.io.stage import StageError

# Great Expectations 1.24 imports two modules that Python 3.11 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:module 'sre_:DeprecationWarning")

ROWS, TEST_ROWS = 300, 200
COUNTS = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
RANGES = {
    "ink": (0.03, 0.6),
    "mean": (5, 120),
    "std": (25, 125),
    "min": (0, 0),
    "max": (200, 255),
    "centre_x": (12, 16),
    "centre_y": (12, 16),
    "left": (0, 20),
    "top": (0, 20),
    "width": (1, 28),
    "height": (1, 28),
}
SECTION = {
    "size": 28,
    "unique": 1.0,
    "class_counts": None,
    "class_divergence": 17,
    "examples": 3,
    "ranges": {name: {"min": low, "max": high} for name, (low, high) in RANGES.items()},
}


def images(rows: int, seed: int) -> np.ndarray:
    """Return noise in the middle 20 by 20 pixels: like digits in all that is checked."""
    canvas = np.zeros((rows, 28, 28), np.uint8)
    canvas[:, 4:24, 4:24] = np.random.default_rng(seed).integers(0, 256, (rows, 20, 20), np.uint8)
    return canvas


def labels(rows: int) -> np.ndarray:
    """Return labels in the published proportions, in no particular order."""
    ends = np.rint(np.cumsum(COUNTS) / sum(COUNTS) * rows).astype(int)
    ordered = np.searchsorted(ends, np.arange(rows), side="right").astype(np.uint8)
    return np.random.default_rng(0).permutation(ordered)


TOLD = toy_data.told(ROWS, TEST_ROWS, counts=COUNTS)


@pytest.fixture
def mnist() -> Splits:
    return Splits(images(ROWS, 1), labels(ROWS), images(TEST_ROWS, 2), labels(TEST_ROWS))


def report_on(data: Splits, told: About = TOLD, **changes: Any) -> dict[str, Any]:
    section = params.parse(validate.Validate, "validate", SECTION | changes)
    return validate.validate(data, section, told)


def failing(report: dict[str, Any]) -> dict[tuple[str, str, str | None], dict[str, Any]]:
    assert report["success"] is all(result["success"] for result in report["expectations"])
    return {
        (result["table"], result["expectation"].removeprefix("Expect"), result["column"]): result
        for result in report["expectations"]
        if not result["success"]
    }


def test_good_data_passes_every_expectation(mnist: Splits) -> None:
    report = report_on(mnist)
    assert failing(report) == {}
    assert report["rows"] == {"train": ROWS, "test": TEST_ROWS}
    assert len(report["expectations"]) == 61


def test_a_duplicate_is_seen_with_both_rows(mnist: Splits) -> None:
    mnist.train_images[17] = mnist.train_images[4]
    found = failing(report_on(mnist))
    assert list(found) == [("train", "ColumnValuesToBeUnique", "hash")]
    (result,) = found.values()
    assert result["unexpected_count"] == 2
    assert [example["row"] for example in result["examples"]] == [4, 17]


def test_a_share_of_duplicates_can_be_allowed(mnist: Splits) -> None:
    mnist.train_images[17] = mnist.train_images[4]
    assert report_on(mnist, unique=1 - 2 / ROWS)["success"] is True
    assert report_on(mnist, unique=1 - 1 / ROWS)["success"] is False


def test_a_test_image_in_training_is_seen_with_its_training_row(mnist: Splits) -> None:
    mnist.test_images[9] = mnist.train_images[33]
    found = failing(report_on(mnist))
    assert list(found) == [("test", "ColumnValuesToBeNull", "same_as_training_row")]
    (result,) = found.values()
    assert (result["unexpected_count"], result["examples"]) == (1, [{"row": 9, "value": 33.0}])


def test_an_empty_image_is_seen(mnist: Splits) -> None:
    mnist.train_images[5] = 0
    found = failing(report_on(mnist))
    # No ink, no centre, no box, and out of the ranges of ink, mean, std and max.
    assert {(name, column) for _, name, column in found} == {
        ("ColumnValuesToBeBetween", "ink"),
        *(("ColumnValuesToNotBeNull", name) for name in NAMES[5:]),
        *(("ColumnValuesToBeBetween", name) for name in ("mean", "std", "max")),
    }
    for result in found.values():
        assert [example["row"] for example in result["examples"]] == [5]


def test_a_label_that_is_no_digit_is_seen(mnist: Splits) -> None:
    mnist.train_labels[7] = 11
    found = failing(report_on(mnist))
    wrong = found["train", "ColumnValuesToBeInSet", "label"]
    assert wrong["examples"] == [{"row": 7, "value": 11}]
    # Infinite, which JSON cannot say.
    divergence = found["train_labels", "ColumnKLDivergenceToBeLessThan", "label"]
    assert divergence["observed"] == "an infinite divergence: a value that the partition lacks"


def test_a_digit_that_never_occurs_is_seen(mnist: Splits) -> None:
    mnist.train_labels[mnist.train_labels == 9] = 4
    found = failing(report_on(mnist))
    assert found["train_labels", "ColumnDistinctValuesToContainSet", "label"]["observed"] == {
        "missing": [9]
    }


@pytest.mark.parametrize(("split", "apart"), [("train", 0), ("test", 17 / sum(COUNTS))])
def test_imbalance_is_seen(mnist: Splits, split: str, apart: float) -> None:
    values = getattr(mnist, f"{split}_labels")
    values[np.flatnonzero(values != 3)[: len(values) // 4]] = 3
    found = failing(report_on(mnist))
    assert list(found) == [(f"{split}_labels", "ColumnKLDivergenceToBeLessThan", "label")]
    (result,) = found.values()
    assert (
        result["observed"]
        > result["kwargs"]["threshold"]
        == pytest.approx(17 / len(values) + apart)
    )


def test_missing_rows_are_seen(mnist: Splits) -> None:
    fewer = mnist._replace(train_images=mnist.train_images[:-1], train_labels=labels(ROWS - 1))
    found = failing(report_on(fewer))
    assert list(found) == [("train", "TableRowCountToEqual", None)]
    assert [result["observed"] for result in found.values()] == [ROWS - 1]


def test_no_rows_at_all_do_not_pass(mnist: Splits) -> None:
    empty = mnist._replace(test_images=mnist.test_images[:0], test_labels=mnist.test_labels[:0])
    found = failing(report_on(empty))
    assert ("test", "TableRowCountToEqual", None) in found
    assert ("test_labels", "ColumnDistinctValuesToContainSet", "label") in found


def test_images_of_another_size_are_seen(mnist: Splits) -> None:
    wide = np.pad(mnist.test_images, ((0, 0), (0, 0), (0, 2)))
    found = failing(report_on(mnist._replace(test_images=wide)))
    assert list(found) == [("test", "ColumnValuesToBeInSet", "image_width")]
    assert [result["unexpected_count"] for result in found.values()] == [TEST_ROWS]


@pytest.mark.parametrize(
    ("change", "columns"),
    [
        (lambda image: 255 - image, {"ink", "mean"}),
        (lambda image: np.maximum(image, 1), {"ink", "min"}),
        (lambda image: np.roll(image, 4, axis=1), {"centre_x"}),
        (lambda image: image // 2, {"max"}),
    ],
)
def test_an_image_out_of_range_is_seen(mnist: Splits, change: Any, columns: set[str]) -> None:
    mnist.test_images[8] = change(mnist.test_images[8])
    found = failing(report_on(mnist))
    assert {column for *_, column in found} >= columns
    assert {name for _, name, _ in found} == {"ColumnValuesToBeBetween"}
    for result in found.values():
        assert [example["row"] for example in result["examples"]] == [8]


def test_test_labels_are_counted_and_never_matched_to_an_image(mnist: Splits) -> None:
    tables = validate.tables(mnist, TOLD)
    assert "label" not in tables["test"]
    assert tables["test_labels"]["label"].is_monotonic_increasing
    shuffled = mnist._replace(test_labels=mnist.test_labels[::-1].copy())
    assert report_on(shuffled) == report_on(mnist)


def test_a_wrong_test_label_is_shown_without_its_row(mnist: Splits) -> None:
    mnist.test_labels[3] = 77
    found = failing(report_on(mnist))
    assert found["test_labels", "ColumnValuesToBeInSet", "label"]["examples"] == [{"value": 77}]


def test_a_column_that_cannot_be_checked_fails_and_says_why() -> None:
    import pandas as pd

    table = pd.DataFrame({"a": ["x", "y"]})
    absent = Rule("t", "ExpectColumnValuesToBeBetween", "b", {"min_value": 0})
    (result,) = check({"t": table}, [absent], 3)
    assert result["success"] is False
    assert result["observed"].startswith("not checked: ")
    assert '"b"' in result["observed"]


def test_results_come_in_the_order_of_the_rules() -> None:
    import pandas as pd

    table = pd.DataFrame({"a": [1, 2, float("nan")]}, index=pd.RangeIndex(3, name="row"))
    rules = [
        Rule("t", "ExpectColumnValuesToNotBeNull", "a", {}),
        Rule("t", "ExpectColumnValuesToBeBetween", "absent", {"min_value": 0}),
        Rule("t", "ExpectColumnValuesToBeBetween", "a", {"max_value": 1}),
        Rule("t", "ExpectTableRowCountToEqual", None, {"value": 3}),
    ]
    results = check({"t": table}, rules, 3)
    assert [result["success"] for result in results] == [False, False, False, True]
    assert results[0]["examples"] == [{"row": 2, "value": None}]
    assert results[2]["examples"] == [{"row": 1, "value": 2.0}]
    assert results[2]["observed"] == {"min": 1.0, "max": 2.0}


# The stage.


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mnist: Splits) -> Splits:
    monkeypatch.chdir(tmp_path)
    files.write_json(Path("params.yaml"), {"validate": SECTION})  # JSON is YAML
    toy_data.write(Path(), TOLD)
    write(mnist)
    return mnist


def write(mnist: Splits) -> None:
    for name, array in mnist._asdict().items():
        files.write_array(Path("data/ingest", f"{name}.npy"), array)


def test_the_stage_writes_the_same_report_twice_and_nothing_else(
    project: Splits, capsys: pytest.CaptureFixture[str]
) -> None:
    before = set(Path().rglob("*"))
    validate.main()
    first = validate.REPORT.read_bytes()
    validate.main()
    assert validate.REPORT.read_bytes() == first
    written = set(Path().rglob("*")) - before
    assert written == {validate.REPORT, *list(validate.REPORT.parents)[:2]}
    line = "checked 500 images, 61 expectations hold\n"
    assert capsys.readouterr() == (line * 2, "")


def test_a_failing_stage_writes_its_report_and_names_count_rows_and_remedy(project: Splits) -> None:
    project.test_images[9] = project.train_images[33]
    project.train_labels[7] = 11
    write(project)
    with pytest.raises(StageError) as caught:
        validate.main()
    lines = str(caught.value).splitlines()
    assert lines[0] == "3 of 61 expectations on data/ingest fail:"
    assert lines[1] == (
        "  train: ExpectColumnValuesToBeInSet of label"
        ' {"value_set": [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]};'
        ' observed {"min": 0, "max": 11}; 1 unexpected, such as row 7 (11)'
    )
    assert lines[3].startswith("  test: ExpectColumnValuesToBeNull of same_as_training_row;")
    assert lines[3].endswith("1 unexpected, such as row 9 (33.0)")
    assert lines[4].startswith("All results: reports/validate/report.json. Mend the data")
    assert files.read_json(validate.REPORT)["success"] is False


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("train_labels", np.zeros(299, np.uint8), r"expected uint8 \(300,\); got uint8 \(299,\)"),
        ("train_images", np.zeros((300, 28, 28)), r"got float64 \(300, 28, 28\)"),
        ("test_labels", np.zeros(200, np.int8), r"expected uint8 \(200,\); got int8"),
    ],
)
def test_arrays_of_another_form_are_refused(
    project: Splits, name: str, array: np.ndarray, message: str
) -> None:
    files.write_array(Path("data/ingest", f"{name}.npy"), array)
    with pytest.raises(StageError, match=message):
        validate.main()


def test_missing_and_damaged_files_are_refused(project: Splits) -> None:
    path = Path("data/ingest/test_images.npy")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(StageError, match=r"test_images\.npy: expected an npy array"):
        validate.main()
    path.unlink()
    with pytest.raises(StageError, match=r"test_images\.npy is missing"):
        validate.main()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"unique": 1.5}, "validate.unique must be less than or equal to 1; got 1.5"),
        ({"class_divergence": 0}, "validate.class_divergence must be greater than 0; got 0"),
        ({"size": "28"}, "validate.size must be a valid integer; got '28'"),
        ({"extra": 1}, "validate.extra is not a known key"),
        ({"ranges": {}}, "validate.ranges.ink is missing"),
    ],
)
def test_wrong_parameters_are_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(StageError, match=f"params.yaml: {message}"):
        params.parse(validate.Validate, "validate", SECTION | change)


def test_wrong_counts_and_ranges_are_named() -> None:
    ranges: Any = SECTION["ranges"]
    reversed_range = ranges | {"ink": {"min": 0.5, "max": 0.1}}
    with pytest.raises(StageError, match=r"validate\.ranges\.ink must be .* min is at most"):
        params.parse(validate.Validate, "validate", SECTION | {"ranges": reversed_range})
    with pytest.raises(
        StageError, match=r"validate\.class_counts\.0 must be greater than or equal"
    ):
        params.parse(validate.Validate, "validate", SECTION | {"class_counts": [0] + [1] * 9})


def test_counts_of_other_classes_are_refused(mnist: Splits) -> None:
    with pytest.raises(
        StageError, match=r"class_counts must be null or the counts of 10 cl.*got 9"
    ):
        report_on(mnist, class_counts=[1] * 9)


def test_every_feature_has_a_range() -> None:
    assert tuple(validate.Ranges.model_fields) == NAMES


# Any data set, by the limits in params.yaml.

DEFAULT = params.section(
    validate.Validate, "validate", Path(__file__).parent.parent / "params.yaml"
)
GARMENTS = ("shirt", "shoe", "bag")


def any_data(pictures: np.ndarray, classes: tuple[str, ...]) -> tuple[Splits, About]:
    """Return two thirds of the pictures to train on and the rest to test."""
    labels = (np.arange(len(pictures)) % len(classes)).astype(np.uint8)
    cut = 2 * len(pictures) // 3
    data = Splits(pictures[:cut], labels[:cut], pictures[cut:], labels[cut:])
    return data, toy_data.told(cut, len(pictures) - cut, classes=classes)


def small_digits() -> np.ndarray:
    """Return scikit-learn's 8x8 digits as they are read: 28x28."""
    from sklearn.datasets import load_digits

    return np.stack([normalize(image.astype(np.uint8) * 15) for image in load_digits().images])


def garments(count: int = 600) -> np.ndarray:
    """Return filled shapes that reach from edge to edge, some flat, some tall, as clothes do."""
    random = np.random.default_rng(0)
    found = []
    for _ in range(count):
        height, width = random.integers(6, 29, 2)
        shape = random.integers(20, 256, (height, width), np.uint8)
        shape[: height // 2] //= 3  # heavy below
        found.append(normalize(np.pad(shape, 2)))
    return np.stack(found)


@pytest.mark.parametrize(
    ("make", "classes"),
    [
        (small_digits, tuple("0123456789")),
        (small_digits, tuple("358")),
        (garments, GARMENTS),
        (garments, ("a", "b")),
    ],
)
def test_any_normalised_data_set_passes_by_the_limits_of_params_yaml(
    make: Any, classes: tuple[str, ...]
) -> None:
    data, told = any_data(make(), classes)
    assert failing(validate.validate(data, DEFAULT, told)) == {}


def test_bad_rows_of_any_data_set_are_seen_and_their_classes_named() -> None:
    data, told = any_data(garments(), GARMENTS)
    data.train_images[3] = np.random.default_rng(0).integers(0, 256, (28, 28))
    data.train_images[4, 0, 0] = 255  # a speck in the corner
    data.train_images[5] //= 2
    data.train_labels[6] = 3
    found = failing(validate.validate(data, DEFAULT, told))
    bad = found["train", "ColumnValuesToBeInSet", "label"]
    assert bad["examples"] == [{"row": 6, "value": "no class: 3"}]
    assert bad["kwargs"] == {"value_set": list(GARMENTS)}
    seen = {
        example["row"]
        for (_, name, _), result in found.items()
        for example in result["examples"]
        if name == "ColumnValuesToBeBetween"
    }
    assert seen == {3, 4, 5}


def test_unfair_shares_of_named_classes_are_seen() -> None:
    data, told = any_data(garments(), GARMENTS)
    data.test_labels[:60] = 1
    found = failing(validate.validate(data, DEFAULT, told))
    assert list(found) == [("test_labels", "ColumnKLDivergenceToBeLessThan", "label")]


@pytest.mark.parametrize(("classes", "limit"), [(2, 7.57), (10, 16.86), (47, 45.23)])
def test_a_fair_sample_of_any_number_of_classes_is_called_unfair_once_in_10_000(
    classes: int, limit: float
) -> None:
    told = toy_data.told(classes=[str(place) for place in range(classes)])
    assert DEFAULT.divergence(told) == pytest.approx(limit, abs=0.01)


def test_feedback_is_checked_but_need_not_be_a_fair_sample(mnist: Splits) -> None:
    more = images(90, seed=3)
    fed = mnist._replace(
        train_images=np.concatenate([mnist.train_images, more]),
        train_labels=np.append(mnist.train_labels, np.full(90, 7, np.uint8)),
    )
    told = TOLD._replace(rows=TOLD.rows | {"feedback": 90})
    assert failing(report_on(fed, told)) == {}
    fed.train_labels[ROWS + 5] = 12
    fed.train_images[ROWS + 6] = 0
    found = failing(report_on(fed, told))
    assert found["train", "ColumnValuesToBeInSet", "label"]["examples"][0]["row"] == ROWS + 5
    assert found["train", "ColumnValuesToBeBetween", "ink"]["examples"][0]["row"] == ROWS + 6
