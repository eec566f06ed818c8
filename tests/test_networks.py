"""The networks, their training and their files, on a few real-sized random images."""

import hashlib
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tasks.core import archive, augment, canonical, networks, training
from tasks.io import archives

pytestmark = pytest.mark.usefixtures("one_core")

IMAGES = np.random.default_rng(0).integers(0, 256, (64, 28, 28), np.uint8)
LABELS = (IMAGES[:, 0, 0] // 26).astype(np.uint8)
SMALL = networks.Architecture(
    filters=(8, 12, 12), kernels=(5, 3, 3), pools=(2, 1, 2), units=16, border=2, momentum=0.9
)
SCHEDULE = training.Schedule(
    epochs=2,
    batch_size=16,
    peak_learning_rate=0.01,
    warmup=0.5,
    weight_decay=0.01,
    label_smoothing=0.05,
    forgetting=0.98,
)
RANGES = augment.Ranges(rotation=5, scale=0.1, shear=0.1, shift=1)


def trained(seed: int = 3) -> tuple[object, list[training.Epoch]]:
    import keras

    keras.utils.set_random_seed(seed)
    model = networks.trainable(SMALL, "[0,1]", 0.3, 10, "float32")
    epochs: list[training.Epoch] = []
    training.fit(
        model,
        IMAGES,
        LABELS,
        (IMAGES[:20], LABELS[:20]),
        schedule=SCHEDULE,
        ranges=RANGES,
        seed=seed,
        report=epochs.append,
    )
    exact = networks.convolutional(SMALL, "[0,1]", dropout=0.3, classes=10)
    exact.set_weights(model.get_weights())
    return exact, epochs


def digest(path: Path) -> str:
    """Return a short name for a file's content: pytest would compare megabytes line by line."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def member() -> object:
    return trained()[0]


@pytest.mark.parametrize(("scaling", "classes"), [("[0,1]", 10), ("[-1,1]", 3)])
@pytest.mark.parametrize(
    "build",
    [
        lambda scaling, classes: networks.convolutional(SMALL, scaling, 0.3, classes),
        lambda scaling, classes: networks.recurrent(8, 2, scaling, 0.2, classes),
        lambda scaling, classes: networks.notebook(128, scaling, classes),
    ],
)
def test_a_network_takes_raw_images_and_returns_a_probability_a_class(build, scaling, classes):
    found = training.probabilities(build(scaling, classes), IMAGES)
    assert found.shape == (64, classes)
    assert found.sum(1) == pytest.approx(1, abs=1e-6)


def test_scaling_is_a_layer_with_the_named_range():
    import keras

    for scaling, ends in (("[0,1]", [0, 1]), ("[-1,1]", [-1, 1])):
        model = networks.notebook(1, scaling, 10)
        scaled = keras.Model(model.input, model.layers[1].output)
        values = training.probabilities(scaled, np.array([[[0, 255] * 14] * 28], np.uint8))
        assert [values.min(), values.max()] == pytest.approx(ends)


def test_the_notebooks_network_has_the_notebooks_parameters():
    assert networks.notebook(128, "[0,1]", 10).count_params() == 101_770


def test_the_trained_network_computes_in_the_named_precision_and_ends_in_float32():
    model = networks.trainable(SMALL, "[0,1]", 0.3, 10, "mixed_bfloat16")
    kinds = {layer.name: layer.compute_dtype for layer in model.layers}
    assert {kinds["conv2d"], kinds["conv2d_2"], kinds["dense"]} == {"bfloat16"}
    assert kinds["logits"] == "float32"
    assert networks.notebook(1, "[0,1]", 10).layers[-1].compute_dtype == "float32"


def test_two_trainings_with_one_seed_give_identical_files(tmp_path):
    for name in ("a", "b"):
        archives.save_keras(tmp_path / name, trained()[0])
    assert digest(tmp_path / "a") == digest(tmp_path / "b")


def test_training_reports_every_epoch_in_order():
    epochs = trained()[1]
    assert [epoch.epoch for epoch in epochs] == [1, 2]
    assert all(np.isfinite(epoch).all() for epoch in epochs)


def test_a_normalised_archive_loads_and_predicts_the_same(member, tmp_path):
    path = tmp_path / "model.keras"
    archives.save_keras(path, member)
    loaded = archives.load_keras(path)
    assert np.array_equal(
        training.probabilities(loaded, IMAGES), training.probabilities(member, IMAGES)
    )


def test_a_file_that_is_no_archive_is_refused():
    target = io.BytesIO()
    zipfile.ZipFile(target, "w").close()
    with pytest.raises(ValueError, match=r"lacks config\.json, metadata\.json"):
        archive.normalise(target.getvalue())


def test_two_exports_of_a_network_give_identical_onnx_that_agrees_with_keras(member, tmp_path):
    for name in ("a.onnx", "b.onnx"):
        archives.save_keras_as_onnx(tmp_path / name, member)
    assert digest(tmp_path / "a.onnx") == digest(tmp_path / "b.onnx")
    said = archives.probabilities(archives.load_onnx(tmp_path / "a.onnx"), IMAGES)
    assert said == pytest.approx(training.probabilities(member, IMAGES), abs=1e-5)


def test_the_mean_of_members_is_the_mean_of_their_probabilities_at_their_temperatures(member):
    from tasks.core import calibration

    other = networks.convolutional(SMALL, "[0,1]", dropout=0.3, classes=10)
    both = networks.mean([member, other], [1.0, 0.5])
    expected = (
        training.probabilities(member, IMAGES)
        + calibration.scale(training.probabilities(other, IMAGES), 0.5)
    ) / 2
    assert training.probabilities(both, IMAGES) == pytest.approx(expected, abs=1e-5)


def test_a_loop_has_no_canonical_form():
    from onnx import TensorProto, helper

    body = helper.make_graph([], "body", [], [])
    node = helper.make_node("If", ["x"], ["y"], then_branch=body, else_branch=body)
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
    model = helper.make_model(helper.make_graph([node], "g", value[:1], value[1:]))
    with pytest.raises(ValueError, match="expected a graph without control flow; got a If"):
        canonical.canonical(model.SerializeToString())
