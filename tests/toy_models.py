"""A small prepared data set and predictions, for the stages that make and judge models."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import toy_data
from ruamel.yaml import YAML

from tasks.core.classes import DIGITS
from tasks.io import files, models, predictions
from tasks.io.predictions import Predictions

ROOT = Path(__file__).parent.parent
TRAIN_LABELS = (np.arange(120) % 10).astype(np.uint8)
TEST_LABELS = (np.arange(100) % 10).astype(np.uint8)


def build(
    folder: Path, classes: Sequence[str] = DIGITS, **changes: object
) -> tuple[np.ndarray, np.ndarray]:
    """Write params.yaml with dotted ``changes`` and ``data/`` of random images with a pattern.

    Returns
    -------
    The training and the test labels.
    """
    train, test = (labels % len(classes) for labels in (TRAIN_LABELS, TEST_LABELS))
    yaml = YAML()
    content = yaml.load(ROOT / "params.yaml")
    for key, value in {"train.folds": [0, 1], "preprocess.folds": 2, **changes}.items():
        *parents, last = key.split(".")
        section = content
        for parent in parents:
            section = section[parent]
        section[last] = value
    yaml.dump(content, folder / "params.yaml")
    for part, labels in (("train", train), ("test", test)):
        path = folder / "data/preprocess" / f"{part}_images.npy"
        files.write_array(path, images(labels))
    files.write_array(folder / "data/preprocess/train_labels.npy", train)
    files.write_array(folder / "data/preprocess/folds.npy", (np.arange(120) // 60).astype(np.uint8))
    files.write_array(folder / "data/preprocess/rows.npy", np.arange(120, dtype=np.int32))
    toy_data.write(folder, toy_data.told(classes=classes))
    reviews = {"exclude": 0, "correct": 0, "beyond": 0, "sha256": "0" * 64}
    files.write_json(folder / "data/preprocess/reviews.json", reviews)
    files.write_array(folder / "data/ingest/train_labels.npy", train)
    files.write_array(folder / "data/ingest/test_labels.npy", test)
    return train, test


def images(labels: np.ndarray) -> np.ndarray:
    """Return noise with a bright bar whose row tells the label, ``(n, 28, 28)`` uint8."""
    found = np.random.default_rng(0).integers(0, 40, (len(labels), 28, 28), np.uint8)
    for image, label in zip(found, labels, strict=True):
        image[2 + 2 * label : 4 + 2 * label, 6:22] = 250
    return found


def sure(labels: np.ndarray, wrong: int = 0) -> np.ndarray:
    """Return probabilities of 0.91 for the label, but for the first ``wrong`` images."""
    said = labels.copy()
    said[:wrong] = (said[:wrong] + 1) % 10
    return (np.eye(10)[said] * 0.9 + 0.01).astype(np.float32)


def write_predictions(folder: Path, wrong: int, fold: int | None = None) -> None:
    """Write predictions of a model that errs on the first ``wrong`` images of each part."""
    held = np.arange(60) + 60 * (fold or 0)
    seen = (held + 60) % 120
    predictions.save(
        folder,
        Predictions(
            seen,
            sure(TRAIN_LABELS[seen], wrong),
            held,
            sure(TRAIN_LABELS[held], wrong),
            sure(TEST_LABELS, wrong),
        ),
    )


def write_all_predictions(folder: Path) -> None:
    """Write predictions for every model of params.yaml: the ensemble is the best."""
    files.write_bytes(folder / models.ENSEMBLE / "model.onnx", b"a model")
    files.write_json(folder / models.ENSEMBLE / "abstention.json", {"threshold": 0.5})
    for number, model in enumerate(models.every()):
        write_predictions(folder / model.folder, wrong=number, fold=number % 2)
