"""A small ensemble as the ensemble stage leaves it: members of one product each, as ONNX."""

from collections.abc import Sequence

import numpy as np

from tasks.core import artifact

CLASSES = tuple("0123456789")


def graph(*strengths: float, classes: int = 10) -> bytes:
    """Return the mean of members that read `images` and `digits`, each surer than others.

    ``strengths`` are what a lit pixel adds to the logit of its class, one a member.
    """
    from onnx import TensorProto, helper, numpy_helper

    constants = [numpy_helper.from_array(np.float32(1 / len(strengths)), "share")]
    nodes = [
        helper.make_node("Cast", ["images"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["float"], ["flat"]),
    ]
    for number, strength in enumerate(strengths):
        weights = np.zeros((28, 28, classes), np.float32)
        for digit in range(classes):
            weights[digit, :, digit] = strength
            weights[10:, [14 - digit, 14 + digit], digit] = strength
        constants.append(numpy_helper.from_array(weights.reshape(784, classes), f"w{number}"))
        nodes += [
            helper.make_node("MatMul", ["flat", f"w{number}"], [f"logits{number}"]),
            helper.make_node("Softmax", [f"logits{number}"], [f"said{number}"], axis=1),
        ]
    said = [f"said{number}" for number in range(len(strengths))]
    nodes += [
        helper.make_node("Sum", said, ["total"]),
        helper.make_node("Mul", ["total", "share"], ["probabilities"]),
    ]
    whole = helper.make_graph(
        nodes,
        "toy",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["n", 28, 28])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", classes])],
        constants,
    )
    imports = [helper.make_opsetid("", 15)]
    return bytes(helper.make_model(whole, opset_imports=imports, ir_version=8).SerializeToString())


def complete(
    strengths: Sequence[float] = (0.0003, 0.0005),
    classes: Sequence[str] = CLASSES,
    threshold: float = 0.5,
) -> bytes:
    """Return such an ensemble with its threshold, its members told apart and its classes."""
    told = artifact.with_threshold(graph(*strengths, classes=len(classes)), threshold)
    told = artifact.with_members(told, range(len(strengths)))
    return artifact.with_classes(told, classes)


def images(*rows: int) -> np.ndarray:
    """Return one image a number, ``(n, 28, 28)`` uint8, with that row lit."""
    found = np.zeros((len(rows), 28, 28), np.uint8)
    found[np.arange(len(rows)), rows] = 255
    return found


def digits(*classes: int) -> np.ndarray:
    """Return one image a class, ``(n, 28, 28)`` uint8, by MNIST's convention: lit columns."""
    found = np.zeros((len(classes), 28, 28), np.uint8)
    for image, digit in zip(found, classes, strict=True):
        image[5:24, [14 - digit, 14 + digit]] = 255
    return found
