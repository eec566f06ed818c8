"""Stage ``validate``: what has to be true of the images and labels before they are used.

Rows, classes and their counts are those of the data set, as `ingest` tells them. What people
corrected comes behind its own rows: it is checked, too, but may be of any classes, since what
a model reads wrong is no fair sample.

Of the test labels it sees their counts alone: they are sorted before anything else.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field, model_validator

from tasks.core.classes import DIGITS
from tasks.core.expectations import Rule, check
from tasks.core.image_features import NAMES, features, hashes
from tasks.core.splits import Splits
from tasks.io import about, files, params
from tasks.io.about import About
from tasks.io.stage import StageError, run

if TYPE_CHECKING:
    import pandas as pd

INPUT = Path("data/ingest")
REPORT = Path("reports/validate/report.json")

_CHANCE = 0.0001  # that a fair sample has class shares that are called unfair


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
    class_counts: list[Annotated[int, Field(ge=1)]] | None = Field(
        description="expected counts of the classes, in proportion; null: the data set's own"
    )
    class_divergence: Annotated[float, Field(gt=0)] | None = Field(
        description="allowed KL divergence of the class shares, times the rows; null: what a "
        "fair sample exceeds once in 10,000 times"
    )
    examples: int = Field(ge=1, le=100, description="rows named for each failing expectation")
    ranges: Ranges

    def counts(self, told: About) -> list[int]:
        """Return the expected counts of the classes of a data set.

        Raises
        ------
        StageError
            If there are fewer or more than it has classes.
        """
        counts, classes = self.class_counts or told.class_counts, len(told.classes)
        if len(counts) != classes:
            raise StageError(
                f"{params.FILE}: validate.class_counts must be null or the counts of {classes} "
                f"classes; got {len(counts)}"
            )
        return counts

    def divergence(self, told: About) -> float:
        """Return the allowed divergence of class shares, times the rows.

        Twice rows x divergence is chi-squared, with one degree of freedom less than classes.
        """
        from scipy.stats import chi2

        if self.class_divergence is not None:
            return self.class_divergence
        return float(chi2.isf(_CHANCE, len(told.classes) - 1)) / 2


def main() -> None:
    """Write reports/validate/report.json; fail, naming every failing expectation."""
    section, told = params.section(Validate, "validate"), about.read()
    report = validate(read(), section, told)
    files.write_json(REPORT, report)
    require_success(report)
    rows = sum(report["rows"].values())
    print(f"checked {rows} images, {len(report['expectations'])} expectations hold")


def read() -> Splits:
    """Return the arrays that `ingest` wrote: images of any size, a label for each."""
    arrays: dict[str, np.ndarray] = {}
    for split in ("train", "test"):
        images = files.read_array(INPUT / f"{split}_images.npy", np.uint8, (None, None, None))
        labels = files.read_array(INPUT / f"{split}_labels.npy", np.uint8, (len(images),))
        arrays |= {f"{split}_images": images, f"{split}_labels": labels}
    return Splits(**arrays)


def validate(data: Splits, section: Validate, told: About) -> dict[str, Any]:
    """Return the report on ``data``: success, rows by split, one entry an expectation."""
    own, feedback, test_rows = (told.rows[part] for part in ("train", "feedback", "test"))
    rules = [
        *_split_rules("train", section, own + feedback),
        _known_classes("train", told),
        *_label_rules("train_labels", section, told, own),
        *_split_rules("test", section, test_rows),
        Rule("test", "ExpectColumnValuesToBeNull", "same_as_training_row", {}),
        _known_classes("test_labels", told),
        *_label_rules("test_labels", section, told, len(data.test_labels), apart=True),
    ]
    results = check(tables(data, told), rules, section.examples)
    return {
        "success": all(result["success"] for result in results),
        "rows": {"train": len(data.train_images), "test": len(data.test_images)},
        "expectations": results,
    }


def tables(data: Splits, told: About) -> "dict[str, pd.DataFrame]":
    """Return one row an image for ``train`` and ``test``, and two tables of labels alone.

    ``train_labels`` are those of the data set's own rows.

    ``same_as_training_row`` is the first training row with the same bytes, else NaN. The
    test labels are sorted, so that no row of the table belongs to an image.
    """
    import pandas as pd

    train, test = _image_table(data.train_images), _image_table(data.test_images)
    rows = {digest: row for row, digest in reversed(list(enumerate(train["hash"])))}
    test["same_as_training_row"] = test["hash"].map(rows).astype(float)
    train["label"] = _named(data.train_labels, told)
    return {
        "train": train,
        "train_labels": train[["label"]].head(told.rows["train"]),
        "test": test,
        "test_labels": pd.DataFrame({"label": _named(np.sort(data.test_labels), told)}),
    }


def _named(labels: np.ndarray, told: About) -> Any:
    """Return the names of classes for their places; digits stay numbers."""
    if tuple(told.classes) == DIGITS:
        return labels.astype(int)
    names = dict(enumerate(told.classes))
    return [names.get(label, f"no class: {label}") for label in labels.tolist()]


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


def _known_classes(table: str, told: About) -> Rule:
    values = {"value_set": _values(told)}
    return Rule(table, "ExpectColumnValuesToBeInSet", "label", values)


def _values(told: About) -> list[Any]:
    return list(_named(np.arange(len(told.classes)), told))


def _label_rules(
    table: str, section: Validate, told: About, rows: int, apart: bool = False
) -> list[Rule]:
    counts, values = section.counts(told), _values(told)
    balance = {
        "partition_object": {
            "values": values,
            "weights": [count / sum(counts) for count in counts],
        },
        # Of a true sample, rows x divergence has the same spread whatever the rows; of one
        # that is no part of what was counted, it has that of both together.
        "threshold": section.divergence(told) * (1 / max(rows, 1) + apart / sum(counts)),
    }
    return [
        Rule(table, "ExpectColumnDistinctValuesToContainSet", "label", {"value_set": values}),
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
