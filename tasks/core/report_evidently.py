"""Evidently, the one place that knows its API: arrays in, pages out."""

import json
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from tasks.core.image_features import features

if TYPE_CHECKING:
    import pandas as pd

_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; "
    "font-src data:; img-src data: blob:"
)
"""What a page may load: itself. Whatever Evidently puts in, nothing leaves the machine."""


class Answers(NamedTuple):
    """Labels ``(n,)`` and probabilities ``(n, classes)`` of some images."""

    labels: np.ndarray
    probabilities: np.ndarray


class View(NamedTuple):
    """What is known of some images without their labels.

    Images ``(n, 28, 28)`` uint8, embedding components ``(n, k)``, probabilities
    ``(n, classes)``.
    """

    images: np.ndarray
    components: np.ndarray
    probabilities: np.ndarray


class Columns(NamedTuple):
    """Columns ``(n, c)`` of some images by their names, and probabilities ``(n, classes)``."""

    values: np.ndarray
    names: Sequence[str]
    probabilities: np.ndarray


class Distances(NamedTuple):
    """Which distance is taken, and from where on it counts as drift.

    Distances, not tests: a test's alarm grows with the number of images.
    """

    numbers: Literal["wasserstein", "jensenshannon", "kl_div", "hellinger"]
    classes: Literal["jensenshannon", "kl_div", "hellinger", "TVD"]
    threshold: float
    share: float


class Drift(NamedTuple):
    """The page, each column's distance, the columns and whether the data as a whole drifted."""

    page: str
    distances: dict[str, float]
    drifted: list[str]
    detected: bool


def performance(current: Answers, reference: Answers, classes: Sequence[str]) -> str:
    """Return Evidently's page on a classifier's answers beside those of the reference."""
    from evidently import DataDefinition
    from evidently.presets import ClassificationPreset

    names = _without_marks(classes)
    target, predicted = _roles(names)
    definition = DataDefinition(
        classification=[_classification(names)],
        categorical_columns=[target, predicted],
        numerical_columns=names,
    )
    tables = (answer_table(current, names), answer_table(reference, names))
    return _page(_run([ClassificationPreset()], *tables, definition))


def drift(current: View, reference: View, classes: Sequence[str], distances: Distances) -> Drift:
    """Return Evidently's page on how far the current images are from the reference."""
    known = _without_marks(classes)
    return _drift(view_table(current, known), view_table(reference, known), distances)


def column_drift(
    current: Columns, reference: Columns, classes: Sequence[str], distances: Distances
) -> Drift:
    """Return the same page on columns that are known already."""
    known = _without_marks(classes)
    return _drift(_column_table(current, known), _column_table(reference, known), distances)


def _drift(current: Any, reference: Any, distances: Distances) -> Drift:
    from evidently import DataDefinition
    from evidently.presets import DataDriftPreset

    tables = (current, reference)
    numbers = [name for name in tables[0] if name != "predicted class"]
    definition = DataDefinition(numerical_columns=numbers, categorical_columns=["predicted class"])
    preset = DataDriftPreset(
        num_method=distances.numbers,
        cat_method=distances.classes,
        num_threshold=distances.threshold,
        cat_threshold=distances.threshold,
        drift_share=distances.share,
    )
    snapshot = _run([preset], *tables, definition)
    values = _distances(snapshot)
    drifted = [name for name, value in values.items() if value >= distances.threshold]
    detected = len(drifted) >= distances.share * len(values)
    return Drift(_page(snapshot), values, drifted, detected)


def answer_table(answers: Answers, classes: Sequence[str]) -> "pd.DataFrame":
    """Return label, prediction and one column of probabilities a class."""
    import pandas as pd

    names = np.array(classes, dtype=object)
    exact = answers.probabilities.astype(float)  # float32 rows sum to one but for some 1e-7
    table = pd.DataFrame(exact / exact.sum(1, keepdims=True), columns=names)
    target, predicted = _roles(classes)
    said = {target: names[answers.labels], predicted: names[answers.probabilities.argmax(1)]}
    return table.assign(**said)


def _classification(names: list[str]) -> Any:
    """Return what Evidently calls the columns; two classes are a thing of their own to it."""
    from evidently import BinaryClassification, MulticlassClassification

    target, predicted = _roles(names)
    roles = {"target": target, "prediction_labels": predicted}
    if len(names) > 2:
        return MulticlassClassification(prediction_probas=names, **roles)
    return BinaryClassification(prediction_probas=names[1], pos_label=names[1], **roles)


def _without_marks(classes: Sequence[str]) -> list[str]:
    """Return names that cannot end a script: Evidently puts them into one as they are."""
    return [name.replace("<", "\N{SINGLE LEFT-POINTING ANGLE QUOTATION MARK}") for name in classes]


def _roles(classes: Sequence[str]) -> tuple[str, str]:
    """Return the columns of label and prediction, beside those that are named like classes."""
    mark = "" if not {"label", "prediction"} & {*classes} else " (role)"
    return f"label{mark}", f"prediction{mark}"


def view_table(view: View, classes: Sequence[str]) -> "pd.DataFrame":
    """Return image statistics, embedding components, predicted class and confidence."""
    import pandas as pd

    parts = {f"image {name}": values for name, values in features(view.images).items()}
    parts |= {f"embedding {i + 1}": column for i, column in enumerate(view.components.T)}
    return _with_answers(pd.DataFrame(parts), view.probabilities, classes)


def _column_table(columns: Columns, classes: Sequence[str]) -> "pd.DataFrame":
    import pandas as pd

    table = pd.DataFrame(columns.values, columns=list(columns.names))
    return _with_answers(table, columns.probabilities, classes)


def _with_answers(
    table: "pd.DataFrame", probabilities: np.ndarray, classes: Sequence[str]
) -> "pd.DataFrame":
    predicted = np.array(classes, dtype=object)[probabilities.argmax(1)]
    numbers = table.assign(confidence=probabilities.max(1)).astype(float)
    return numbers.assign(**{"predicted class": predicted})


def framed(page: str, title: str, banner: str) -> str:
    """Return Evidently's page with a title, a banner (HTML) on top and no way to a network."""
    policy = f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
    for mark, added in (("<head>", f"{policy}<title>{title}</title>"), ("<body>", banner)):
        if mark not in page:
            raise ValueError(f"expected {mark} in Evidently's page; its layout has changed")
        page = page.replace(mark, mark + added, 1)
    return page


def _run(metrics: list[Any], current: Any, reference: Any, definition: Any) -> Any:
    from evidently import Dataset, Report
    from sklearn.exceptions import UndefinedMetricWarning

    sets = (Dataset.from_pandas(table, definition) for table in (current, reference))
    with np.errstate(all="ignore"), warnings.catch_warnings():
        # A weak model may never answer with some class: its rates are 0 then, and shown so.
        warnings.simplefilter("ignore", UndefinedMetricWarning)
        return Report(metrics).run(*sets)


def _distances(snapshot: Any) -> dict[str, float]:
    metrics = json.loads(snapshot.json())["metrics"]
    return {
        metric["config"]["column"]: float(metric["value"])
        for metric in metrics
        if metric["config"]["type"].endswith(":ValueDrift")
    }


def _page(snapshot: Any) -> str:
    return str(snapshot.get_html_str(as_iframe=False))
