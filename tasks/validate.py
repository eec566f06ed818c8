"""Stage ``validate``: what has to be true of the images and labels before they are used.

Of the test labels it sees their counts alone: they are sorted before anything else.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field, model_validator

from tasks.core.expectations import Rule, check
from tasks.core.image_features import NAMES, features, hashes
from tasks.core.mnist import Mnist
from tasks.io import files, params
from tasks.io.stage import StageError, run

if TYPE_CHECKING:
    import pandas as pd

INPUT = Path("data/ingest")
REPORT = Path("reports/validate/report.json")


class Range(params.Section):
    """Both ends are allowed."""

    min: float
    max: float

    @model_validator(mode="after")
    def _ordered(self) -> "Range":
        if self.min > self.max:
            raise ValueError(f"a range whose min is at most its max ({self.max:g})")
        return self


class Ranges(params.Section):
    """The allowed range of each column of `tasks.core.image_features`."""

    ink: Range
    mean: Range
    std: Range
    min: Range
    max: Range
    centre_x: Range
    centre_y: Range
    left: Range
    top: Range
    width: Range
    height: Range


class Validate(params.Section):
    """The thresholds of the expectations."""

    size: int = Field(ge=1, description="height and width of every image, in pixels")
    unique: float = Field(ge=0, le=1, description="share of a split's images without a double")
    class_counts: list[int] = Field(
        min_length=10, max_length=10, description="expected counts of 0..9, in proportion"
    )
    class_divergence: float = Field(
        gt=0, description="allowed KL divergence of the class shares, times the rows"
    )
    examples: int = Field(ge=1, le=100, description="rows named for each failing expectation")
    ranges: Ranges

    @model_validator(mode="after")
    def _counted(self) -> "Validate":
        if min(self.class_counts) < 1:
            raise ValueError(f"class_counts of at least 1 each; got {min(self.class_counts)}")
        return self


def main() -> None:
    """Write reports/validate/report.json; fail, naming every failing expectation."""
    section, data = params.section(Validate, "validate"), params.data()
    report = validate(read(), section, data.train_rows, data.test_rows)
    files.write_json(REPORT, report)
    require_success(report)
    rows = sum(report["rows"].values())
    print(f"checked {rows} images, {len(report['expectations'])} expectations hold")


def read() -> Mnist:
    """Return the arrays that `ingest` wrote: images of any size, a label for each."""
    arrays: dict[str, np.ndarray] = {}
    for split in ("train", "test"):
        images = files.read_array(INPUT / f"{split}_images.npy", np.uint8, (None, None, None))
        labels = files.read_array(INPUT / f"{split}_labels.npy", np.uint8, (len(images),))
        arrays |= {f"{split}_images": images, f"{split}_labels": labels}
    return Mnist(**arrays)


def validate(mnist: Mnist, section: Validate, train_rows: int, test_rows: int) -> dict[str, Any]:
    """Return the report on ``mnist``: success, rows by split, one entry an expectation."""
    rules = [
        *_split_rules("train", section, train_rows),
        *_label_rules("train", section, len(mnist.train_labels)),
        *_split_rules("test", section, test_rows),
        Rule("test", "ExpectColumnValuesToBeNull", "same_as_training_row", {}),
        *_label_rules("test_labels", section, len(mnist.test_labels)),
    ]
    results = check(tables(mnist), rules, section.examples)
    return {
        "success": all(result["success"] for result in results),
        "rows": {"train": len(mnist.train_images), "test": len(mnist.test_images)},
        "expectations": results,
    }


def tables(mnist: Mnist) -> "dict[str, pd.DataFrame]":
    """Return one row an image for ``train`` and ``test``, and ``test_labels`` for its counts.

    ``same_as_training_row`` is the first training row with the same bytes, else NaN. The
    test labels are sorted, so that no row of the table belongs to an image.
    """
    import pandas as pd

    train, test = _image_table(mnist.train_images), _image_table(mnist.test_images)
    rows = {digest: row for row, digest in reversed(list(enumerate(train["hash"])))}
    test["same_as_training_row"] = test["hash"].map(rows).astype(float)
    train["label"] = mnist.train_labels.astype(int)
    counts = pd.DataFrame({"label": np.sort(mnist.test_labels).astype(int)})
    return {"train": train, "test": test, "test_labels": counts}


def _image_table(images: np.ndarray) -> "pd.DataFrame":
    import pandas as pd

    _, height, width = images.shape
    size = {"image_height": height, "image_width": width}
    index = pd.RangeIndex(len(images), name="row")
    columns = features(images) | {"hash": hashes(images).astype(object)}
    return pd.DataFrame(columns, index=index).assign(**size)


def _split_rules(split: str, section: Validate, rows: int) -> list[Rule]:
    size = {"value_set": [section.size]}
    return [
        # First of all: a table without rows passes every expectation on its rows.
        Rule(split, "ExpectTableRowCountToEqual", None, {"value": rows}),
        Rule(split, "ExpectColumnValuesToBeInSet", "image_height", size),
        Rule(split, "ExpectColumnValuesToBeInSet", "image_width", size),
        Rule(split, "ExpectColumnValuesToBeUnique", "hash", {"mostly": section.unique}),
        Rule(split, "ExpectColumnValuesToBeBetween", "ink", {"min_value": 0, "strict_min": True}),
        # A range does not see NaN, so its absence is an expectation of its own.
        *(Rule(split, "ExpectColumnValuesToNotBeNull", name, {}) for name in NAMES),
        *(_range_rule(split, name, getattr(section.ranges, name)) for name in NAMES),
    ]


def _range_rule(split: str, column: str, allowed: Range) -> Rule:
    kwargs = {"min_value": allowed.min, "max_value": allowed.max}
    return Rule(split, "ExpectColumnValuesToBeBetween", column, kwargs)


def _label_rules(table: str, section: Validate, rows: int) -> list[Rule]:
    digits = list(range(10))
    shares = [count / sum(section.class_counts) for count in section.class_counts]
    balance = {
        "partition_object": {"values": digits, "weights": shares},
        # Of a true sample, rows x divergence has the same spread whatever the rows.
        "threshold": section.class_divergence / max(rows, 1),
    }
    return [
        Rule(table, "ExpectColumnValuesToBeInSet", "label", {"value_set": digits}),
        Rule(table, "ExpectColumnDistinctValuesToContainSet", "label", {"value_set": digits}),
        Rule(table, "ExpectColumnKLDivergenceToBeLessThan", "label", balance),
    ]


def require_success(report: dict[str, Any]) -> None:
    """Raise `StageError` with every failing expectation of ``report``, if there is one."""
    failing = [result for result in report["expectations"] if not result["success"]]
    if failing:
        lines = "".join(f"\n  {_failure(result)}" for result in failing)
        raise StageError(
            f"{len(failing)} of {len(report['expectations'])} expectations on {INPUT} fail:{lines}"
            f"\nAll results: {REPORT}. Mend the data (`dvc repro -f ingest` fetches it anew)"
            " or, if it is right, the limits in params.yaml: validate"
        )


def _failure(result: dict[str, Any]) -> str:
    parts = [f"{result['table']}: {result['expectation']}"]
    parts.append(f" of {result['column']}" if result["column"] else "")
    parts.append(f" {_short(result['kwargs'])}" if result["kwargs"] else "")
    parts.append(f"; observed {_short(result['observed'])}" if result["observed"] else "")
    if result["unexpected_count"]:
        parts.append(f"; {result['unexpected_count']} unexpected, such as ")
        parts.append(", ".join(map(_example, result["examples"])))
    return "".join(parts)


def _example(example: dict[str, Any]) -> str:
    value = _short(example["value"])
    return f"row {example['row']} ({value})" if "row" in example else value


def _short(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


if __name__ == "__main__":
    run(main)
