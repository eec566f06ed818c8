"""What the artifact carries: its threshold, its members in order, the names of its classes."""

import json

import numpy as np
import pytest
import toy_ensemble as toy
import toy_registry

from tasks.core import abstention, artifact, calibration
from tasks.io import archives, membership, models, predictions
from tasks.io.models import Model
from tasks.io.stage import StageError

STRENGTHS = (0.001, 0.003, 0.002)
TOLERANCE = 1e-5
IMAGES = np.concatenate([toy.images(*range(10)), np.full((1, 28, 28), 9, np.uint8)])


def outputs(graph: bytes, *names: str, images: np.ndarray = IMAGES) -> list[np.ndarray]:
    return archives.load_onnx(graph).run(list(names) or None, {"images": images})


def members_said(*strengths: float) -> list[np.ndarray]:
    return [outputs(toy.graph(strength), "probabilities")[0] for strength in strengths]


def test_an_artifact_carries_its_threshold_and_applies_it():
    graph = artifact.with_threshold(toy_registry.model(), 0.5)
    images = toy.images(0, 3)
    images[0] = 0  # empty: every digit is as likely
    probabilities, answered = outputs(graph, images=images)
    assert answered.tolist() == [False, True]
    assert probabilities.max(1)[0] < 0.5 < probabilities.max(1)[1]
    metadata = archives.load_onnx(graph).get_modelmeta().custom_metadata_map
    assert metadata == {"abstention_threshold": "0.5"}
    assert (probabilities == outputs(toy_registry.model(), images=images)[0]).all()


@pytest.mark.parametrize("threshold", [0.98, abstention.NEVER])
def test_the_artifact_answers_as_the_threshold_says_to_the_last_bit(threshold):
    images = np.random.default_rng(0).integers(0, 255, (50, 28, 28), np.uint8)
    exact = float(outputs(toy_registry.model(), images=images)[0].max(1)[7])
    limit = exact if threshold < 1 else threshold
    graph = artifact.with_threshold(toy_registry.model(), limit)
    probabilities, answered = outputs(graph, images=images)
    assert answered.tolist() == abstention.answered(probabilities, limit).tolist()
    assert answered[7] == (threshold < 1)


def test_members_stand_in_the_order_that_is_asked_for_and_their_mean_is_the_answer():
    (members, probabilities) = outputs(
        artifact.with_members(toy.graph(*STRENGTHS), [2, 0, 1]), "members", "probabilities"
    )
    assert members.shape == (11, 3, 10)
    for row, said in enumerate(members_said(0.002, 0.001, 0.003)):
        assert np.array_equal(members[:, row], said)
    assert members.mean(1) == pytest.approx(probabilities, abs=1e-7)


@pytest.mark.parametrize("graph", [toy.graph(0.002), toy_registry.model()], ids=["mean", "softmax"])
def test_one_member_alone_is_a_row_of_its_own(graph):
    members, probabilities = outputs(artifact.with_members(graph, [0]), "members", "probabilities")
    assert np.array_equal(members, probabilities[:, None])


def test_the_other_outputs_keep_their_bits_and_their_places():
    plain = artifact.with_threshold(toy.graph(*STRENGTHS), 0.6)
    graph = artifact.with_classes(artifact.with_members(plain, [1, 2, 0]), toy.CLASSES)
    told = archives.load_onnx(graph)
    assert [output.name for output in told.get_outputs()] == [
        "probabilities", "answered", "members",
    ]  # fmt: skip
    for before, after in zip(outputs(plain), outputs(graph), strict=False):
        assert np.array_equal(before, after)


def test_classes_stand_in_the_metadata_beside_the_threshold():
    names = ("null", "zwölf", 'with "quotes", and a comma')
    graph = artifact.with_threshold(toy.graph(0.1, classes=3), 0.25)
    metadata = archives.load_onnx(artifact.with_classes(graph, names)).get_modelmeta()
    found = metadata.custom_metadata_map
    assert tuple(json.loads(found["classes"])) == names
    assert found["abstention_threshold"] == "0.25"


def test_the_same_graph_becomes_the_same_bytes():
    assert toy.complete(STRENGTHS) == toy.complete(STRENGTHS)


def test_each_member_is_matched_to_the_softmax_that_answers_as_it_does():
    a, b, c = (np.full((4, 2), value) for value in (0.1, 0.5, 0.9))
    order, gaps = artifact.match(np.stack([a, b, c], axis=1), np.stack([c, a + 0.01, b]))
    assert order == [2, 0, 1]
    assert gaps == pytest.approx([0, 0.01, 0])


def test_the_stage_tells_members_apart_by_their_stored_predictions():
    said = dict(zip("abc", members_said(0.003, 0.001, 0.002), strict=True))
    graph = membership.told_apart(toy.graph(*STRENGTHS), said, IMAGES, TOLERANCE)
    (members,) = outputs(graph, "members")
    for row, answers in enumerate(said.values()):
        assert np.array_equal(members[:, row], answers)


def test_a_member_whose_predictions_are_of_another_training_is_named():
    said = dict(zip("abc", members_said(0.003, 0.0015, 0.002), strict=True))
    with pytest.raises(StageError) as caught:
        membership.told_apart(toy.graph(*STRENGTHS), said, IMAGES, TOLERANCE)
    assert str(caught.value).startswith(
        "models/ensemble/model.onnx: expected a member that answers as models/train/b/"
        "predictions.npz does, within 1e-05 in probability (ensemble.tolerance); the nearest "
        "differs by 5.8e-03. "
    )


def test_a_member_that_is_missing_from_the_mean_is_noticed():
    said = dict(zip("ab", members_said(0.003, 0.001), strict=True))
    with pytest.raises(StageError, match="its 3 softmaxes are not those of 2 members"):
        membership.told_apart(toy.graph(*STRENGTHS), said, IMAGES, TOLERANCE)


def test_a_members_predictions_are_scaled_as_its_logits_are_however_small_they_get():
    """Twelve decimals, which are enough to score, would make 0.06 of a class of 1e-30."""
    part = predictions.Predictions(*[np.float32([[1, 1e-30]])] * 5)
    member = Model("a", "member", models.TRAIN / "a")
    said = membership.answers([member], [part], [10.0])["a"]
    assert said == pytest.approx(calibration.softmax(np.array([[0, np.log(1e-30) / 10]])), abs=1e-9)
