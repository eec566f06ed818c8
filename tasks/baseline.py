"""Fit one of the source document's other algorithms, for the ensemble to be held against."""

import argparse
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from pydantic import Field

from tasks.core import augment, calibration, export, networks, training
from tasks.core.scaling import SCALINGS
from tasks.io import archives, dataset, files, models, params, predictions, timing
from tasks.io.params import Distinct, Section
from tasks.io.predictions import Predictions
from tasks.io.progress import Epochs
from tasks.io.quiet import quiet
from tasks.io.stage import StageError, run

Algorithm = Literal[
    "logistic_regression", "decision_tree", "random_forest", "svm", "rnn", "notebook"
]

_PARTS = 10  # in which a forest grows, a line of progress each


class LogisticRegression(Section):
    """Multinomial logistic regression."""

    inverse_penalty: float = Field(gt=0)
    tolerance: float = Field(gt=0)
    max_iterations: int = Field(ge=1)


class DecisionTree(Section):
    """One tree."""

    criterion: Literal["gini", "entropy"]
    pruning: float = Field(ge=0, description="cost-complexity, as scikit-learn's ccp_alpha")


class RandomForest(Section):
    """Trees on resampled rows."""

    trees: int = Field(ge=1)
    features: int = Field(ge=1, le=784, description="pixels tried at each split")


class Svm(Section):
    """A support vector machine with a radial kernel on principal components."""

    components: int = Field(ge=1, le=784)
    cost: float = Field(gt=0)
    gamma: float = Field(gt=0)


class Rnn(Section):
    """A recurrent network that reads images row by row."""

    units: int = Field(ge=1)
    rows: Literal[1, 2, 4, 7] = Field(description="of pixels a step")
    dropout: float = Field(ge=0, lt=1)
    epochs: int = Field(ge=1)
    batch_size: int = Field(ge=8)
    peak_learning_rate: float = Field(gt=0, le=1)
    warmup: float = Field(ge=0, lt=1)
    weight_decay: float = Field(ge=0, lt=1)
    label_smoothing: float = Field(ge=0, lt=1)
    forgetting: float = Field(ge=0, lt=1)
    shift: float = Field(ge=0, le=14, description="pixels either way")


class Notebook(Section):
    """The source document's own network, 784-128-10 for ten classes."""

    units: int = Field(ge=1)
    epochs: int = Field(ge=1)
    batch_size: int = Field(ge=1)
    validation_split: float = Field(gt=0, lt=1)


class Baseline(Section):
    """All algorithms and what they share."""

    algorithms: Distinct[Algorithm]
    fold: int = Field(ge=0, description="the fold that is held out for validation")
    sampled: int = Field(ge=1, description="fitted images that the training score is taken from")
    logistic_regression: LogisticRegression
    decision_tree: DecisionTree
    random_forest: RandomForest
    svm: Svm
    rnn: Rnn
    notebook: Notebook


def main() -> None:
    """Fit the algorithm named on the command line and write its folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--algorithm", required=True, choices=get_args(Algorithm))
    fit(parser.parse_args().algorithm)


def fit(algorithm: Algorithm) -> None:
    """Fit one algorithm on all training images.

    Those without a held-out score of their own (a forest has one out of its bags, the
    notebook's network a split) are fitted twice: without one fold, whose images then give
    the validation score, and on everything, which is the model that is kept.
    """
    section = params.section(Baseline, "baseline")
    digits = dataset.load()
    folder = models.BASELINE / algorithm
    settings = getattr(section, algorithm)
    if algorithm in _NETWORKS:
        result = _NETWORKS[algorithm](settings, section, digits, folder)
    else:
        result = _fit_sklearn(_PIPELINES[algorithm](settings), section, digits, folder)
    predictions.save(folder, result)
    labels = digits.train_labels[result.validation_rows]
    correct = (result.validation.argmax(1) == labels).mean()
    print(f"held-out accuracy {correct:.2%} of {len(labels)} images")


class Trial(NamedTuple):
    """What a classifier says of training images that it was not fitted on."""

    rows: np.ndarray
    probabilities: np.ndarray
    temperature: float | None = None  # for decision values; None: it has probabilities


def _fit_sklearn(
    classifier: Callable[[int], Any], section: Baseline, digits: dataset.Digits, folder: Path
) -> Predictions:
    start = time.monotonic()
    seed, scaling = params.seed(), params.data().scaling
    pixels, labels = _pixels(digits.train_images, scaling), digits.train_labels
    kept = classifier(seed)
    is_forest = hasattr(kept[-1], "oob_score")
    if not is_forest:
        trial = _try(classifier(seed), pixels, labels, _held_out(section, digits))
    print(f"fitting on all {len(labels)} images")
    if is_forest:
        _grow(kept, pixels, labels)
        trial = _out_of_bag(kept[-1])
    else:
        kept.fit(pixels, labels)
    graph = export.sklearn_graph(kept, scaling, trial.temperature)
    files.write_bytes(folder / "model.onnx", graph)
    sample = _sample(np.arange(len(labels)), section.sampled, seed)
    session = archives.load_onnx(graph)
    seen, test = (
        archives.probabilities(session, images)
        for images in (digits.train_images[sample], digits.test_images)
    )
    timing.write(folder, time.monotonic() - start)
    return Predictions(sample, seen, trial.rows, trial.probabilities, test)


def _try(classifier: Any, pixels: np.ndarray, labels: np.ndarray, held_out: np.ndarray) -> Trial:
    """Fit without one fold and ask for its images."""
    rows = np.flatnonzero(held_out)
    print(f"fitting on {np.sum(~held_out)} images, {len(rows)} held out")
    classifier.fit(pixels[~held_out], labels[~held_out])
    if hasattr(classifier, "predict_proba"):
        return Trial(rows, classifier.predict_proba(pixels[rows]))
    scores = calibration.softmax(_decision_values(classifier, pixels[rows]))
    temperature = calibration.fit_temperature(labels[rows], scores)
    return Trial(rows, calibration.scale(scores, temperature), temperature)


def _decision_values(classifier: Any, pixels: np.ndarray) -> np.ndarray:
    """Return ``(n, classes)``; of two classes scikit-learn gives the second's alone."""
    values = classifier.decision_function(pixels)
    return np.stack([-values, values], axis=1) if values.ndim == 1 else values


def _grow(pipeline: Any, pixels: np.ndarray, labels: np.ndarray) -> None:
    """Fit a forest in parts, which grows the same trees as at once, and say how far it is."""
    forest, start = pipeline[-1], time.monotonic()
    total = forest.n_estimators
    forest.set_params(warm_start=True)
    for trees in sorted({math.ceil(total * part / _PARTS) for part in range(1, _PARTS + 1)}):
        forest.set_params(n_estimators=trees, oob_score=trees == total)
        pipeline.fit(pixels, labels)
        left = (time.monotonic() - start) / trees * (total - trees)
        print(f"{trees}/{total} trees  {left:.0f} s left")


def _out_of_bag(forest: Any) -> Trial:
    """Take each image's answer from the trees that were grown without it (Breiman 2001)."""
    said = forest.oob_decision_function_
    rows = np.flatnonzero(~np.isnan(said).any(1))  # with few trees, every one saw some images
    return Trial(rows, said[rows])


def _logistic_regression(settings: LogisticRegression) -> Callable[[int], Any]:
    from sklearn.linear_model import LogisticRegression as Classifier

    return lambda seed: _pipeline(
        Classifier(
            C=settings.inverse_penalty, tol=settings.tolerance, max_iter=settings.max_iterations
        )
    )


def _decision_tree(settings: DecisionTree) -> Callable[[int], Any]:
    from sklearn.tree import DecisionTreeClassifier as Classifier

    return lambda seed: _pipeline(
        Classifier(
            criterion=settings.criterion,
            ccp_alpha=settings.pruning,
            random_state=seed,
        )
    )


def _random_forest(settings: RandomForest) -> Callable[[int], Any]:
    from sklearn.ensemble import RandomForestClassifier as Classifier

    return lambda seed: _pipeline(
        Classifier(
            settings.trees,
            max_features=settings.features,
            random_state=seed,
        )
    )


def _svm(settings: Svm) -> Callable[[int], Any]:
    from sklearn.decomposition import PCA
    from sklearn.svm import SVC

    return lambda seed: _pipeline(
        PCA(settings.components, random_state=seed), SVC(C=settings.cost, gamma=settings.gamma)
    )


def _pipeline(*steps: Any) -> Any:
    from sklearn.pipeline import make_pipeline

    return make_pipeline(*steps)


_PIPELINES: dict[str, Callable[[Any], Callable[[int], Any]]] = {
    "logistic_regression": _logistic_regression,
    "decision_tree": _decision_tree,
    "random_forest": _random_forest,
    "svm": _svm,
}


def _fit_rnn(settings: Rnn, section: Baseline, digits: dataset.Digits, folder: Path) -> Predictions:
    held_out = _held_out(section, digits)
    fitted, held = np.flatnonzero(~held_out), np.flatnonzero(held_out)
    _check_rnn(settings, len(fitted))
    _start_keras(params.seed())
    start = time.monotonic()
    with Epochs(folder, settings.epochs) as epochs:
        print(f"fitting on {len(fitted)} images, {len(held)} held out")
        trial = _train_rnn(settings, digits, fitted, held, epochs.report)
        validation = training.probabilities(trial, digits.train_images[held])
    print(f"fitting on all {len(held_out)} images")
    rows = np.arange(len(held_out))
    with Epochs(None, settings.epochs) as epochs:
        kept = _train_rnn(settings, digits, rows, held[:0], epochs.report)
    timing.write(folder, time.monotonic() - start)
    return _network_result(kept, section, digits, folder, rows)._replace(
        validation_rows=held, validation=validation
    )


def _check_rnn(settings: Rnn, images: int) -> None:
    if images < settings.batch_size:
        raise StageError(
            f"params.yaml: baseline.rnn.batch_size must be at most {images}, the images that "
            f"are not held out; got {settings.batch_size}"
        )


def _train_rnn(
    settings: Rnn,
    digits: dataset.Digits,
    rows: np.ndarray,
    watched: np.ndarray,
    report: Callable[[training.Epoch], None],
) -> Any:
    scaling, classes = params.data().scaling, len(digits.classes)
    model = networks.recurrent(settings.units, settings.rows, scaling, settings.dropout, classes)
    training.fit(
        networks.logits_of(model),
        digits.train_images[rows],
        digits.train_labels[rows],
        (digits.train_images[watched], digits.train_labels[watched]),
        schedule=training.Schedule(**settings.model_dump(include=set(training.Schedule._fields))),
        ranges=augment.Ranges(rotation=0, scale=0, shear=0, shift=settings.shift),
        seed=params.seed(),
        report=report,
    )
    return model


def _fit_notebook(
    settings: Notebook, section: Baseline, digits: dataset.Digits, folder: Path
) -> Predictions:
    _start_keras(params.seed())
    model = networks.notebook(settings.units, params.data().scaling, len(digits.classes))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    start = time.monotonic()
    with Epochs(folder, settings.epochs) as epochs:
        model.fit(
            digits.train_images,
            digits.train_labels,
            batch_size=settings.batch_size,
            epochs=settings.epochs,
            validation_split=settings.validation_split,
            callbacks=[training.reporter(epochs.report)],
            verbose=0,
        )
    timing.write(folder, time.monotonic() - start)
    first = int(len(digits.train_labels) * (1 - settings.validation_split))
    fitted, held = np.split(np.arange(len(digits.train_labels)), [first])  # as Keras splits
    validation = training.probabilities(model, digits.train_images[held])
    return _network_result(model, section, digits, folder, fitted)._replace(
        validation_rows=held, validation=validation
    )


def _network_result(
    model: Any, section: Baseline, digits: dataset.Digits, folder: Path, fitted: np.ndarray
) -> Predictions:
    archives.save_keras_as_onnx(folder / "model.onnx", model)
    session = archives.load_onnx(folder / "model.onnx")
    sample = _sample(fitted, section.sampled, params.seed())
    seen, test = (
        archives.probabilities(session, images)
        for images in (digits.train_images[sample], digits.test_images)
    )
    nothing = np.empty(0)
    return Predictions(sample, seen, nothing, nothing, test)


_NETWORKS: dict[str, Callable[[Any, Baseline, dataset.Digits, Path], Predictions]] = {
    "rnn": _fit_rnn,
    "notebook": _fit_notebook,
}


def _start_keras(seed: int) -> None:
    with quiet():
        import keras

        training.prepare()
    keras.utils.set_random_seed(seed)


def _held_out(section: Baseline, digits: dataset.Digits) -> np.ndarray:
    held_out = digits.folds == section.fold
    if not held_out.any():
        raise StageError(
            f"params.yaml: baseline.fold must be below preprocess.folds; got {section.fold}"
        )
    return np.asarray(held_out)


def _sample(rows: np.ndarray, count: int, seed: int) -> np.ndarray:
    return np.sort(np.random.default_rng(seed).permutation(rows)[:count])


def _pixels(images: np.ndarray, scaling: str) -> np.ndarray:
    """Return ``(n, 784)`` float32 in the range that ``scaling`` names."""
    factor, offset = SCALINGS[scaling]
    return images.reshape(len(images), -1) * np.float32(factor) + np.float32(offset)


if __name__ == "__main__":
    run(main)
