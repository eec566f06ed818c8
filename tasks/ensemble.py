"""Average the members into one model, calibrated where that helps, as Keras and as ONNX."""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from pydantic import Field

from tasks.core import (
    abstention,
    artifact,
    calibration,
    components,
    metrics,
    networks,
    shift_reference,
    training,
)
from tasks.io import (
    archives,
    dataset,
    files,
    known_batch,
    membership,
    models,
    params,
    predictions,
    reference,
)
from tasks.io.known_batch import KnownBatch
from tasks.io.params import Section
from tasks.io.predictions import Predictions
from tasks.io.quiet import quiet
from tasks.io.stage import StageError, run

if TYPE_CHECKING:
    import keras


ARTIFACT = models.ENSEMBLE / "model.onnx"
ABSTENTION = models.ENSEMBLE / "abstention.json"


class Ensemble(Section):
    """How the members become one model."""

    calibrate: bool = Field(description="scale each member by a temperature where that helps")
    tolerance: float = Field(gt=0, description="how far Keras and ONNX may differ in probability")
    compared: int = Field(ge=1, description="test images that the two are compared on")
    components: int = Field(ge=1, le=32, description="of the embedding, kept for drift")
    max_risk: float = Field(gt=0, lt=1, description="wrong answers among those given, at most")
    risk_level: float = Field(gt=0.5, lt=1, description="how sure that bound has to be")
    known: int = Field(ge=1, le=1000, description="test images whose answers the artifact records")
    reference: int = Field(ge=100, description="held-out images kept to compare new ones with")


class Temperature(NamedTuple):
    """One member's temperature and what it does to the log loss of images held out from it."""

    member: str
    temperature: float
    log_loss_before: float
    log_loss_after: float


def main() -> None:
    """Build the ensemble from the members' folders and write its own."""
    section = params.section(Ensemble, "ensemble")
    digits = dataset.load()
    members = models.members()
    parts = [predictions.load(member.folder) for member in members]
    temperatures = [
        _temperature(member.name, part, digits.train_labels, section.calibrate)
        for member, part in zip(members, parts, strict=True)
    ]
    files.write_json(models.ENSEMBLE / "calibration.json", [t._asdict() for t in temperatures])

    with quiet():
        import keras  # noqa: F401  # first, in the quiet: TensorFlow speaks at its import

        training.prepare()
    networks_of_members = [archives.load_keras(member.folder / "model.keras") for member in members]
    model = networks.mean(networks_of_members, [t.temperature for t in temperatures])
    archives.save_keras(models.ENSEMBLE / "model.keras", model)
    archives.save_keras_as_onnx(ARTIFACT, model)

    test = archives.probabilities(archives.load_onnx(ARTIFACT), digits.test_images)
    _check_agreement(model, test, digits.test_images, section)
    said = _combined(parts, temperatures, test)
    predictions.save(models.ENSEMBLE, said)
    _write_embeddings(networks_of_members[0], parts[0].validation_rows, digits, section)
    _write_reference(said, digits, section)
    print(f"{len(members)} members in one model; Keras and ONNX agree")

    chosen = _choose_threshold(said, digits.train_labels, section)
    files.write_json(ABSTENTION, chosen)
    graph = artifact.with_threshold(ARTIFACT.read_bytes(), chosen["threshold"])
    compared = digits.test_images[: section.compared]
    by_member = membership.answers(members, parts, [t.temperature for t in temperatures])
    graph = membership.told_apart(graph, by_member, compared, section.tolerance)
    files.write_bytes(ARTIFACT, artifact.with_classes(graph, digits.classes))
    known = slice(section.known)
    known_batch.save(known_batch.FILE, KnownBatch(digits.test_images[known], test[known]))


def _temperature(
    name: str, part: Predictions, train_labels: np.ndarray, calibrate: bool
) -> Temperature:
    """Fit a member's temperature on the images held out from it; 1 where that does not help."""
    labels = train_labels[part.validation_rows]
    before = metrics.log_loss(labels, part.validation)
    fitted = calibration.fit_temperature(labels, part.validation) if calibrate else 1.0
    after = metrics.log_loss(labels, calibration.scale(part.validation, fitted))
    if after >= before:
        fitted, after = 1.0, before
    return Temperature(name, round(fitted, 4), round(before, 6), round(after, 6))


def _combined(
    parts: list[Predictions], temperatures: list[Temperature], test: np.ndarray
) -> Predictions:
    """Score each training image by the mean of the members that it was held out from.

    Most images were held out from one member only, so the validation score is that of a
    smaller ensemble than the one that is kept: it errs on the careful side.
    """
    scales = [t.temperature for t in temperatures]
    seen = [calibration.scale(p.train, t) for p, t in zip(parts, scales, strict=True)]
    unseen = [calibration.scale(p.validation, t) for p, t in zip(parts, scales, strict=True)]
    train_rows, train = _mean_by_row([p.train_rows for p in parts], seen)
    rows, validation = _mean_by_row([p.validation_rows for p in parts], unseen)
    return Predictions(train_rows, train, rows, validation, test)


def _mean_by_row(
    rows: list[np.ndarray], probabilities: list[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Return each row once, sorted, with the mean of all that was said of it."""
    unique, position = np.unique(np.concatenate(rows), return_inverse=True)
    total = np.zeros((len(unique), probabilities[0].shape[1]))
    np.add.at(total, position, np.concatenate(probabilities))
    return unique, total / np.bincount(position)[:, None]


def _choose_threshold(
    said: Predictions, train_labels: np.ndarray, section: Ensemble
) -> dict[str, Any]:
    """Choose the confidence from which on the model answers, by images held out from it."""
    labels, held_out = train_labels[said.validation_rows], said.validation.astype(np.float32)
    chosen = abstention.choose(labels, held_out, risk=section.max_risk, level=section.risk_level)
    print(_in_words(chosen, section))
    return {"max_risk": section.max_risk, "level": section.risk_level, **chosen.as_dict()}


def _in_words(chosen: abstention.Outcome, section: Ensemble) -> str:
    if chosen.threshold == abstention.NEVER:
        return (
            f"answers nothing: on {chosen.images} held-out images no threshold keeps the risk at "
            f"{section.max_risk:g} (ensemble.max_risk); raise it, or train on more images"
        )
    words = f"{chosen.coverage:.2%} of held-out images answered, {chosen.risk:.3%} of those wrong"
    return f"answers from confidence {chosen.threshold:.4f} on: {words}"


def _check_agreement(
    model: "keras.Model", test: np.ndarray, images: np.ndarray, section: Ensemble
) -> None:
    said = training.probabilities(model, images[: section.compared])
    distance = float(np.abs(said - test[: section.compared]).max())
    if distance > section.tolerance:
        raise StageError(
            f"{models.ENSEMBLE}/model.onnx differs from model.keras by {distance:.1e} in "
            f"probability; expected at most {section.tolerance:.0e} (ensemble.tolerance)"
        )


def _write_embeddings(
    member: "keras.Model", rows: np.ndarray, digits: dataset.Digits, section: Ensemble
) -> None:
    """Write what one member sees in images that it was not fitted on, in a few components."""
    embed = networks.embedding_of(member)
    held, test = (
        training.probabilities(embed, images)
        for images in (digits.train_images[rows], digits.test_images)
    )
    basis = components.principal(held, section.components)
    files.write_arrays(
        models.ENSEMBLE / "embeddings.npz",
        validation_rows=rows.astype(np.int32),
        validation=basis.project(held),
        test=basis.project(test),
    )


def _write_reference(said: Predictions, digits: dataset.Digits, section: Ensemble) -> None:
    """Write what the monitor compares new images with: see `tasks.core.shift_reference`."""
    rows = said.validation_rows
    held_out = shift_reference.build(
        digits.train_images[rows],
        rows=rows,
        folds=digits.folds[rows],
        labels=digits.train_labels[rows],
        probabilities=said.validation,
        member_folds=np.array(models.member_folds()),
        size=section.reference,
        rng=np.random.default_rng(params.seed()),
    )
    reference.save(reference.FILE, held_out)


if __name__ == "__main__":
    run(main)
