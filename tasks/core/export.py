"""Every scikit-learn model as one ONNX graph: uint8 images in, probabilities out."""

import warnings
from typing import Any

import numpy as np

from tasks.core.scaling import SCALINGS

IMAGES = "images"
PROBABILITIES = "probabilities"
_OPSETS = {"": 18, "ai.onnx.ml": 3}
_IR_VERSION = 10


def sklearn_graph(pipeline: Any, scaling: str, temperature: float | None) -> bytes:
    """Return the ONNX graph of a fitted scikit-learn pipeline for flattened, scaled pixels.

    Parameters
    ----------
    pipeline
        A fitted ``Pipeline`` whose last step is the classifier, for ``(n, 784)`` float32; of
        a single step if that is a tree or a forest.
    scaling
        The range of pixels that it was fitted on: ``"[0,1]"`` or ``"[-1,1]"``.
    temperature
        For a classifier without probabilities: its decision values, divided by this, go
        through a softmax. None: its own probabilities are the output.
    """
    from onnx import TensorProto, helper

    trees = _trees(pipeline[-1])
    if trees:
        inner, pixels, scores = [_forest(trees)], "pixels", "scores"
        constants: list[Any] = []
    else:
        inner, constants, pixels, scores = _converted(pipeline, temperature is not None)
    classes = len(pipeline[-1].classes_)
    before, factors = _scale(scaling, pixels)
    after, divisors = _probabilities(scores, temperature)
    graph = helper.make_graph(
        [*before, *inner, *after],
        "classifier",
        [helper.make_tensor_value_info(IMAGES, TensorProto.UINT8, ["n", 28, 28])],
        [helper.make_tensor_value_info(PROBABILITIES, TensorProto.FLOAT, ["n", classes])],
        [*factors, *constants, *divisors],
    )
    opsets = [helper.make_opsetid(domain, version) for domain, version in _OPSETS.items()]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION)
    return bytes(model.SerializeToString(deterministic=True))


def _converted(pipeline: Any, raw_scores: bool) -> tuple[list[Any], list[Any], str, str]:
    """Let skl2onnx convert; return nodes, constants and the names of pixels and scores."""
    from onnx import compose
    from skl2onnx import to_onnx

    options = {"zipmap": False} | ({"raw_scores": True} if raw_scores else {})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # it looks at what scikit-learn retires
        model = to_onnx(
            pipeline,
            np.zeros((1, 784), np.float32),
            options={id(pipeline[-1]): options},
            target_opset=_OPSETS,
        )
    graph = compose.add_prefix(model, "classifier_").graph
    nodes, constants = list(graph.node), list(graph.initializer)
    return nodes, constants, graph.input[0].name, graph.output[1].name


def _trees(classifier: Any) -> list[Any]:
    if hasattr(classifier, "tree_"):
        return [classifier.tree_]
    return [grown.tree_ for grown in getattr(classifier, "estimators_", [])]


def _forest(trees: list[Any]) -> Any:
    """Return the mean of ``trees`` as one node, from ``pixels`` to ``scores``.

    skl2onnx does the same with a Python object for each number and a weight for each class
    in each leaf: 4.7 GB for 200 full-grown trees, and a file of three times the size.
    """
    from onnx import helper

    nodes: dict[str, list[np.ndarray]] = {}
    for number, tree in enumerate(trees):
        leaf = tree.children_left < 0
        weights = tree.value[:, 0] / tree.value[:, 0].sum(1, keepdims=True) / len(trees)
        leaves, classes = np.nonzero(weights * leaf[:, None])
        columns = {
            "nodes_treeids": np.full(len(leaf), number),
            "nodes_nodeids": np.arange(len(leaf)),
            "nodes_featureids": np.where(leaf, 0, tree.feature),
            "nodes_modes": leaf,
            "nodes_values": np.where(leaf, np.float32(0), _rounded_down(tree.threshold)),
            "nodes_truenodeids": np.where(leaf, 0, tree.children_left),
            "nodes_falsenodeids": np.where(leaf, 0, tree.children_right),
            "class_treeids": np.full(len(leaves), number),
            "class_nodeids": leaves,
            "class_ids": classes,
            "class_weights": weights[leaves, classes].astype(np.float32),
        }
        for name, column in columns.items():
            nodes.setdefault(name, []).append(column)
    number_of_classes = trees[0].value.shape[2]
    if number_of_classes == 2:  # ONNX Runtime's classifier takes a tree of two to have one score
        node, prefix = _trees_node("Regressor", ["scores"], n_targets=2), "target_"
    else:
        numbers = {"classlabels_int64s": range(number_of_classes)}
        node = _trees_node("Classifier", ["class", "scores"], **numbers)
        prefix = "class_"
    for key, columns_of_trees in nodes.items():
        name = key.replace("class_", prefix)
        column = np.concatenate(columns_of_trees)
        values = np.where(column, b"LEAF", b"BRANCH_LEQ") if column.dtype == bool else column
        node.attribute.append(helper.make_attribute(name, values.tolist()))
    return node


def _trees_node(kind: str, outputs: list[str], **attributes: Any) -> Any:
    from onnx import helper

    more = {"domain": "ai.onnx.ml", "post_transform": "NONE", **attributes}
    return helper.make_node(f"TreeEnsemble{kind}", ["pixels"], outputs, **more)


def _rounded_down(thresholds: np.ndarray) -> np.ndarray:
    """Return the float32 that splits float32 pixels as a float64 threshold does."""
    near = thresholds.astype(np.float32)
    return np.where(near > thresholds, np.nextafter(near, np.float32(-np.inf)), near)


def _scale(scaling: str, pixels: str) -> tuple[list[Any], list[Any]]:
    """``images`` uint8 ``(n, 28, 28)`` to ``pixels`` float32 ``(n, 784)``."""
    from onnx import TensorProto, helper, numpy_helper

    factor, offset = SCALINGS[scaling]
    nodes = [
        helper.make_node("Cast", [IMAGES], ["raw"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["raw", "factor"], ["stretched"]),
        helper.make_node("Add", ["stretched", "offset"], ["shifted"]),
        helper.make_node("Reshape", ["shifted", "shape"], [pixels]),
    ]
    constants = [
        numpy_helper.from_array(np.array(factor, np.float32), "factor"),
        numpy_helper.from_array(np.array(offset, np.float32), "offset"),
        numpy_helper.from_array(np.array([-1, 784]), "shape"),
    ]
    return nodes, constants


def _probabilities(scores: str, temperature: float | None) -> tuple[list[Any], list[Any]]:
    """``scores`` to ``probabilities``, both float32 ``(n, classes)``."""
    from onnx import helper, numpy_helper

    if temperature is None:
        return [helper.make_node("Identity", [scores], [PROBABILITIES])], []
    nodes = [
        helper.make_node("Div", [scores, "temperature"], ["scaled"]),
        helper.make_node("Softmax", ["scaled"], [PROBABILITIES], axis=1),
    ]
    return nodes, [numpy_helper.from_array(np.array(temperature, np.float32), "temperature")]
